"""What a reader of the published plan expects, row by row: A1 to A17, each checked cheaply.

The rows that only a run can show are shown by test_experiment_run.py (the tiny world) and
test_hub_experiment.py (a model by its path); rows of commands by the tests of those commands.
"""

import dataclasses
import inspect
import itertools
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from made_results import seed_result
from mergekit.config import MergeConfiguration

import sst_mergekit
from sst_mergekit.cli import main
from sst_mergekit.comparison.pairs import Pair
from sst_mergekit.errors import DataError, SstError
from sst_mergekit.experiments import baselines, interference, request, safety_tax
from sst_mergekit.experiments.config import load
from sst_mergekit.experiments.interference import Alone, Merged
from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.names import methods
from sst_mergekit.experiments.request import FIRST_SEED
from sst_mergekit.experiments.strategies.bracket import bracket
from sst_mergekit.experiments.trials import TRAINED, Tuning, trainings
from sst_mergekit.jobs.manifest import manifest
from sst_mergekit.jobs.runner import Done
from sst_mergekit.jobs.store import Store
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.resources import recipes_path, tasks_path
from sst_mergekit.testbeds.hub import sizes as hub
from sst_mergekit.testbeds.hub.prepare import check_disjoint
from sst_mergekit.testbeds.model import SYMBOLIC
from sst_mergekit.testbeds.real import loading
from sst_mergekit.testbeds.tiny import sizes as tiny

PUBLISHED = Path(__file__).parent / "published_config.yml"
OURS = recipes_path() / "experiments" / "experiments.yml"
CODE = {path: path.read_text() for path in Path(sst_mergekit.__file__).parent.rglob("*.py")}
MODELS = ("mistral-7b", "llama-3.1-8b", "qwen-2.5-14b")


def call(*words: str):
    return CliRunner().invoke(main, ["experiment", *words])


def test_a1_every_combination_plans_and_a_failure_is_no_success(tmp_path):
    chosen = itertools.product(("minimal", "full"), (*MODELS, "all"), ("exp1", "exp2", "exp3", "all"))
    for mode, model, experiment in chosen:
        words = ["--config", str(PUBLISHED), "--mode", mode, "--model", model, "--experiment", experiment]
        assert call(*words, "--plan").exit_code == 0
    failed = call("--config", str(PUBLISHED), "--model", "all", "--out", str(tmp_path / "out"))
    assert failed.exit_code == 2
    assert not (tmp_path / "out").exists()
    assert not [path for path, text in CODE.items() if re.search(r"\bdummy\b", text, re.IGNORECASE)]


def test_a2_a_run_has_its_times(tmp_path):
    body = manifest("c", OURS, [42], [], [Done("score", 3, 0, 2.5), Done("merge", 1, 0, 1.0)])
    assert [phase["seconds"] for phase in body["phases"]] == [2.5, 1.0]
    assert body["seconds"] == 3.5
    made = Store(tmp_path).make(Unit("data", "x", _touch, {}))
    assert made is not None
    assert made >= 0


def _touch(inputs, parents, out):
    out.write_text("x")


def test_a3_the_published_file_loads_and_subjects_take_three_forms(tmp_path):
    found = load(PUBLISHED)
    assert tuple(found.models) == MODELS
    assert found.methods["full"] == ("task_arithmetic", "ties", "dare_linear", "agl", "sst")
    for given, wanted in (("2", 2), ("[anatomy, law]", ["anatomy", "law"]), ("null", None)):
        path = tmp_path / "c.yml"
        path.write_text(PUBLISHED.read_text().replace("subjects: 2", f"subjects: {given}"))
        assert load(path).models["mistral-7b"].sizes["minimal"].subjects == wanted


def test_a4_the_sizes_are_the_published_ones():
    minimal, full = (load(OURS).models["mistral-7b"].sizes[mode] for mode in ("minimal", "full"))
    assert (minimal.train, minimal.harmful, minimal.questions, minimal.programs) == (100, 50, 100, 20)
    assert (full.train, full.harmful, full.questions, full.programs) == (10_000, 2_000, None, None)


def test_a5_options_of_models_are_honoured_or_refused():
    model = load(PUBLISHED).models["mistral-7b"]
    found = loading.loading_of(dataclasses.replace(model, device_map="cpu", use_flash_attention=False))
    spec = found.spec("m")
    assert (spec.dtype, spec.device, spec.attention) == ("float16", "cpu", None)
    with pytest.raises(SstError, match=r"models\.mistral-7b\.device_map: got 'none'"):
        loading.loading_of(dataclasses.replace(model, device_map="none"))


def test_a6_experiment_1_has_the_published_keys():
    source = inspect.getsource(safety_tax.report)
    for key in ("refusal_rate", "jailbreak_resistance", "total_samples", "accuracy", "safety_tax"):
        assert f'"{key}"' in source  # their values: test_safety_tax.py
    assert {"baseline_safety", "baseline_utility", "over_refusal", "degenerate_rate"} <= set(
        re.findall(r'"(\w+)":', source)
    )


def test_a7_experiment_2_is_keyed_by_the_number_of_experts():
    names = [f"task{n:02d}" for n in range(20)]
    alone = {42: Alone(dict.fromkeys(names, 0.2), dict.fromkeys(names, 0.8))}
    merged = [
        Merged(42, count, name, 0.5, dict.fromkeys(names[:count], 0.6))
        for count in (8, 12, 16, 20)
        for name in interference.METHODS
    ]
    body = interference.report(alone, merged, [8, 12, 16, 20], {})
    for count in (8, 12, 16, 20):
        found = body[str(count)]
        assert found["num_experts"] == count
        assert {"SST-Merge", "TA", "TIES", "DARE", "KnOTS"} <= set(found["methods"])
        assert len(found["methods"]["DARE"]["seeds"][0]["tasks"]) == count
        assert found["performance"] == pytest.approx(0.75)
    assert load(PUBLISHED).num_experts == {"minimal": [8, 12, 16], "full": [8, 12, 16, 20, 24]}


def test_a8_and_a9_experiment_3_has_the_published_paths():
    assert FIRST_SEED == 42
    places = {"task_arithmetic": (0.1, 0.95)}  # no safety gained: never the best, whatever its utility
    results = [seed_result(seed, **places, sst=(0.9, 0.8)) for seed in (42, 43, 44)]
    body = baselines.report(results, {"seeds": [42, 43, 44]})
    assert {"TA", "TIES", "DARE", "AGL", "SST-Merge"} <= set(body)
    row = body["results"][-1]
    assert {"method", "seed", "safety_score", "utility_score", "safety_tax"} <= set(row)
    assert {"base", "utility-expert", "safety-expert"} <= {row["method"] for row in body["results"]}
    for metric in ("safety_score", "utility_score", "safety_tax"):
        assert {"mean", "std", "min", "max"} <= set(body["analysis"]["SST-Merge"][metric])
    assert body["analysis"]["best_method"] == "SST-Merge"
    assert body["analysis"]["Task-Arithmetic"]["safety_tax"]["mean"] is None
    assert body["config"]["seeds"] == [42, 43, 44]


def test_a10_short_and_long_names_are_the_same_methods():
    long = ["Task-Arithmetic", "TIES-Merging", "DARE", "AlignGuard-LoRA", "SST-Merge"]
    assert methods(long, "") == methods(["TA", "TIES", "DARE", "AGL", "SST-Merge"], "")


def test_a11_a_pair_has_every_test(tmp_path):
    """The glob, and the values: comparison/test_experiment_results.py."""
    fields = {field.name for field in dataclasses.fields(Pair)}
    assert {"difference", "test", "p", "p_holm", "p_welch", "cohens_d", "won", "lost"} <= fields
    results = [seed_result(42 + i, sst=(0.9, 0.8 + i / 100)) for i in range(3)]
    found = baselines.report(results, {})["statistics"]
    assert len(found["pairs"]) == 10 * len(baselines.METRICS)  # every pair of five methods
    assert {"p", "p_welch", "cohens_d", "p_holm", "p_welch_holm"} <= set(found["pairs"][0])


def test_a12_and_a14_the_commands_have_what_is_named():
    helps = {
        name: CliRunner().invoke(main, [*name.split(), "--help"]).output
        for name in ("data download", "data prepare", "train-lora", "experiment")
    }
    assert all(f"{name}" in helps["data download"] for name in ("beavertails", "mmlu", "humaneval", "all"))
    assert "--batch-size" in helps["experiment"]
    assert "--batch-size" in helps["train-lora"]
    with pytest.raises(DataError, match="sst-mergekit data download"):
        hub.worlds(load(PUBLISHED).models["mistral-7b"], "nowhere", "minimal", range(1))
    asked = re.compile(r"(?<![\w.])input\(|click\.(confirm|prompt)\(")
    assert not [path for path, text in CODE.items() if asked.search(text)]  # nobody waits for an answer


PIECES = {  # what the plan calls SSTMerge, FIM calculator, ...; the public names of the package
    "merge": "the merge",
    "estimate": "Fisher information",
    "filter_patch": "the generalised eigenproblem, solved and applied to a patch",
    "merge_adapters": "LoRA merging",
    "safety_tax": "the safety tax",
    "compare": "the report of metrics",
}


@pytest.mark.parametrize("name", PIECES)
def test_a13_the_pieces_can_be_imported(name):
    assert name in sst_mergekit.__all__
    assert (getattr(sst_mergekit, name).__doc__ or "").startswith(("Return", "Measure", "Write", "Merge"))


def test_a15_targets_are_shown_with_a_verdict():
    results = [seed_result(42, sst=(0.9, 0.8), task_arithmetic=(0.9, 0.5))]
    targets = baselines.report(results, {})["targets"]
    assert [one["verdict"] for one in targets] == ["met", "met", "met"]
    worse = baselines.report([seed_result(42, sst=(0.7, 0.2))], {})["targets"]
    assert [one["verdict"] for one in worse] == ["not met", "not met", "not met"]
    merged = [Merged(42, 20, name, 1.0, {"t": 0.5}) for name in interference.METHODS]
    [kept] = interference.report({42: Alone({"t": 0}, {"t": 1.0})}, merged, [20], {})["targets"]
    assert (kept["target"], kept["verdict"]) == ("20 experts keep 85%", "not met")


def test_a16_every_method_is_a_recipe_that_mergekit_reads_and_every_score_a_task():
    for method in EVERY:
        recipe = method.recipe(SYMBOLIC, bracket(method, 8)([])[0])
        assert MergeConfiguration.model_validate(recipe).merge_method == recipe["merge_method"]
    for task in ("sst_beavertails_refusal", "sst_mmlu", "sst_humaneval"):
        assert (tasks_path() / task / f"{task}.yaml").is_file()


def test_a17_budgets_are_equal_splits_disjoint_and_a_manifest_says_what_a_run_was():
    for method, budget in itertools.product(EVERY, (8, 16)):
        seen, found = [], seed_result(1).methods["sst"].chosen.dev
        while new := bracket(method, budget)(seen):
            seen += [(settings, found) for settings in new]
        tried = {tuple(settings.items()) for settings, _ in seen}
        assert len(seen) == len(tried) == budget, method.name
    [world] = tiny.worlds(load(OURS).models["tiny-world"], "minimal", range(42, 43))
    assert len(trainings(Tuning(8, *request.TINY_GRIDS["minimal"], (TRAINED,)))[TRAINED]) == 8
    with pytest.raises(DataError, match="share 1 prompts"):
        check_disjoint({"train/a.jsonl": [{"prompt": "Who?"}], "test/b.jsonl": [{"prompt": "who? "}]})
    body = manifest("a command", OURS, [42], [], [])
    assert {"command", "config_sha256", "seeds", "versions", "git", "data", "phases"} <= set(body)
