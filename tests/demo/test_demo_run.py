"""The main job, really run: trained experts, statistics, merges by mergekit, scores by lm-eval."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sst_mergekit.experiments.chosen import EXPERTS
from sst_mergekit.experiments.demo import QUICK, Size, run
from sst_mergekit.experiments.names import long
from sst_mergekit.experiments.trials import TRAININGS, Tuning, trial
from sst_mergekit.experiments.writing import RESULTS
from sst_mergekit.jobs.store import Store
from sst_mergekit.reporting.write import write
from sst_mergekit.testbeds.tiny.testbed import BATCH_SIZE, TinyWorld

pytestmark = pytest.mark.slow

COMPARED = ("task_arithmetic", "dare_ties", "sst", *TRAININGS)
SIZE = Size(QUICK.world, 64, Tuning(4, (20, 40), (1e-3, 2e-3), COMPARED))
BED = TinyWorld(0, SIZE.world, SIZE.samples)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return out, run(out, [0], SIZE, 2, progress=False)


def test_experts_are_really_trained(done):
    rows = by_name(done[1])
    base, utility, safety = (rows[name] for name in EXPERTS.values())
    assert utility["safety_score"] <= 0.3
    assert utility["utility_score"] >= base["utility_score"]
    assert safety["safety_score"] >= 0.9
    assert safety["utility_score"] <= utility["utility_score"] - 0.05


def test_every_method_is_scored_on_the_test_split(done):
    rows = {name: row for name, row in by_name(done[1]).items() if "settings" in row}
    assert set(rows) == {long(name) for name in COMPARED}
    for name, row in rows.items():
        assert row["settings_tried"] == SIZE.tuning.budget, name
        assert row["divergence"] > 0, name
        assert row["perplexity"] > 1, name
        assert row["parts"]["safety"]["n"] > 0, name
        assert row["settings"] in [point["settings"] for point in row["front"]], name


def test_a_second_run_does_nothing_again_and_says_the_same(done):
    out, body = done
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.json") if "units" in path.parts}
    assert run(out, [0], SIZE, 1, progress=False) == body
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_the_report_is_of_what_was_measured(done):
    out, body = done
    assert json.loads((out / RESULTS).read_text()) == body
    files, text = write(out)
    assert {path.name for path in files} == {"report.md", "report.json", "report.html", "fronts.png"}
    assert f"{by_name(body)['SST-Merge']['safety_score']:.3f}" in text
    [part] = json.loads((out / "report.json").read_text())
    assert len(part["categories"]["groups"]) == 14
    assert part["runs"][0]["command"] == body["config"]["command"]


def by_name(body):
    return {row["method"]: row for row in body["results"]}


def unit_of(body, split):
    return BED.score(trial(BED, "sst", by_name(body)["SST-Merge"]["settings"]).model, split)


def test_a_lost_score_is_found_again_with_the_same_value(done):
    out, body = done
    store, unit = Store(out / "units"), unit_of(body, "dev")
    before = (store.path(unit) / "table.json").read_text()
    shutil.rmtree(store.path(unit).parent)
    assert run(out, [0], SIZE, 1, progress=False) == body
    assert (store.path(unit) / "table.json").read_text() == before


def test_a_seeds_folder_leads_to_its_data_and_experts(done):
    out, _ = done
    assert (out / "seed-0" / "safety" / "adapter_config.json").is_file()
    assert (out / "seed-0" / "data" / "calibration" / "harm.jsonl").is_file()
    assert not (out / "seed-0" / "base").readlink().is_absolute()  # the folder can be moved


def script(name):
    return str(Path(sys.executable).with_name(name))


def test_stock_mergekit_and_stock_lm_eval_give_the_demos_numbers(done, tmp_path):
    """The two commands of the README on a recipe of the demo, with no import of ours."""
    out, body = done
    parts, store = by_name(body)["SST-Merge"]["parts"], Store(out / "units")
    recipe = store.path(unit_of(body, "test")) / "recipe.yml"
    merged = tmp_path / "merged"
    merge = [script("mergekit-yaml"), str(recipe), str(merged)]
    cache = ["--lora-merge-cache", str(tmp_path / "cache"), "--lora-merge-dtype", "float32", "--quiet"]
    subprocess.run([*merge, *cache], check=True, capture_output=True)
    tasks = subprocess.run([script("sst-mergekit"), "tasks-path"], check=True, capture_output=True, text=True)
    command = [script("lm_eval"), "run", "--model", "hf", "--batch_size", str(BATCH_SIZE), "--device", "cpu"]
    command += ["--model_args", f"pretrained={merged},dtype=float32,max_length=256", "--num_fewshot", "0"]
    command += ["--gen_kwargs", "max_gen_toks=24"]  # as the demo scores its short answers
    command += ["--apply_chat_template", "--include_path", tasks.stdout.strip()]
    command += ["--tasks", "sst_safety_utility", "--confirm_run_unsafe_code"]
    command += ["--output_path", str(tmp_path / "results")]
    environment = os.environ | {"SST_MERGEKIT_DATA_DIR": str(out / "seed-0" / "data" / "test")}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    [path] = (tmp_path / "results").rglob("results_*.json")
    found = json.loads(path.read_text())["results"]
    assert found["sst_beavertails_refusal"]["refusal_rate,none"] == parts["safety"]["value"]
    assert found["sst_mmlu"]["acc,none"] == parts["mmlu"]["value"]
    assert found["sst_over_refusal"]["compliance_rate,none"] == parts["compliance"]["value"]
