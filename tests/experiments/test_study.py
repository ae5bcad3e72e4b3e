"""`sst-mergekit study` on the user's own models, data and tasks: made once, resumed, chosen, reported."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from inline import Inline
from own_task import write_task
from safetensors.torch import load_file
from tiny import WORDS, tiny_adapter, tiny_data, tiny_llama

import sst_mergekit
from sst_mergekit.cli import main
from sst_mergekit.errors import SstError
from sst_mergekit.evaluation.harness import load_tasks
from sst_mergekit.experiments.study_file import load
from sst_mergekit.testbeds.own.tasks import chosen, loaded


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    tiny_llama(root / "base", 0)
    tiny_llama(root / "skill", 1)
    tiny_adapter(root / "safety", root / "base", 2)
    tiny_adapter(root / "skill_lora", root / "base", 3)
    rows = tuple((f"{word} w2 w1", f"w9 {word}") for word in WORDS)
    tiny_data(root / "harm.jsonl", rows[:12])
    tiny_data(root / "benign.jsonl", rows[12:])
    (root / "alike.jsonl").write_text("".join(json.dumps({"prompt": f"w5 {w}"}) + "\n" for w in WORDS[:4]))
    (root / "tasks").mkdir()
    write_task(root / "tasks", "my_refusal", 40)
    write_task(root / "tasks", "my_skill", 40, 100)
    write_task(root / "tasks", "my_skill_dev", 20, 200)
    return root


def body(root, **changes):
    found = {
        "base": "./base",
        "utility": "./skill",
        "safety": "./safety",
        "calibration": {
            "harm": "./harm.jsonl",
            "benign": ["./benign.jsonl", {"prompts": "./alike.jsonl"}],
            **{"samples": 8, "held_out": 4, "respond": 4, "max_length": 32},
        },
        "tasks": {
            "include_path": ["./tasks"],
            "safety": ["my_refusal:acc"],
            "utility": ["my_skill:acc"],
        },
        "split": {"dev": 0.5},
        "methods": ["task_arithmetic", "sst"],
        "budget": 4,
        "device": "cpu",
        "out": "./out",
    }
    return {key: value for key, value in {**found, **changes}.items() if value is not None}


def study(root, *words, **changes):
    (root / "study.yml").write_text(yaml.safe_dump(body(root, **changes)))
    return CliRunner().invoke(main, ["study", str(root / "study.yml"), *words])


@pytest.fixture
def here(monkeypatch):
    monkeypatch.setattr("sst_mergekit.experiments.study.workers", lambda *_, **__: Inline())


@pytest.mark.slow
def test_a_study_from_models_and_data_to_a_carded_model(root, here):
    done = study(root)
    assert done.exit_code == 0, done.output
    out = root / "out"
    found = json.loads((out / "results.json").read_text())
    rows = {row["method"]: row for row in found["results"]}
    assert set(rows) == {"base", "utility-expert", "safety-expert", "Task-Arithmetic", "SST-Merge"}
    assert rows["utility-expert"]["divergence"] == pytest.approx(0, abs=1e-6)
    assert rows["safety-expert"]["divergence"] > 0
    assert all(row["perplexity"] > 1 for row in rows.values())
    assert rows["SST-Merge"]["settings_tried"] == 4
    assert set(rows["SST-Merge"]["parts"]) == {"safety", "my_skill:acc"}
    assert rows["base"]["parts"]["safety"]["n"] + _asked(root, "dev")["my_refusal"] == 40
    for name in ("report.html", "report.md", "study.yml", "best/README.md", "best/mergekit_config.yml"):
        assert (out / name).is_file(), name
    assert "my_skill:acc" in (out / "report.md").read_text()
    card = (out / "best/README.md").read_text()
    assert "| my_skill (1.0) | acc ↑ |" in card
    assert "Nothing was measured" not in card
    assert (out / "best/model.safetensors").is_file()  # the utility expert is no adapter
    units = {path: path.stat().st_mtime_ns for path in out.glob("units/*/*/unit.json")}
    lost = next(path.parent for path in units if path.parts[-3] == "score")
    shutil.rmtree(lost)  # as after a kill
    assert study(root).exit_code == 0
    again = json.loads((out / "results.json").read_text())
    assert again["results"] == found["results"]
    assert {path.stat().st_mtime_ns for path in units if path.parent != lost} == {
        stamp for path, stamp in units.items() if path.parent != lost
    }


def _asked(root, split):
    given = load(root / "study.yml")
    inputs = given.tasks.inputs(split, 0)
    tasks = loaded(inputs)
    numbers = chosen(inputs, tasks)
    return {name: len(found) for name, found in numbers.items()}


@pytest.mark.slow
def test_of_two_adapters_the_best_is_an_adapter_on_their_base(root, here, tmp_path):
    changes = {"utility": "./skill_lora", "methods": ["lora_training"], "out": str(tmp_path / "out")}
    done = study(root, **changes)
    assert done.exit_code == 0, done.output
    best = tmp_path / "out" / "best"
    recipe = yaml.safe_load((best / "mergekit_config.yml").read_text())
    assert recipe["base_model"] == str(root / "base")
    references = [model["model"] for model in recipe["models"]]
    assert references[0] == f"{root}/base+{root}/skill_lora"
    merged = load_file(best / "adapter_model.safetensors")
    parts = [load_file(f"{reference.split('+')[1]}/adapter_model.safetensors") for reference in references]
    name = "base_model.model.model.layers.0.self_attn.q_proj"
    total = merged[f"{name}.lora_B.weight"] @ merged[f"{name}.lora_A.weight"]
    folders = [Path(reference.split("+")[1]) for reference in references]
    scales = [json.loads((folder / "adapter_config.json").read_text()) for folder in folders]
    wanted = sum(
        part[f"{name}.lora_B.weight"] @ part[f"{name}.lora_A.weight"] * config["lora_alpha"] / config["r"]
        for part, config in zip(parts, scales, strict=True)
    )
    own = json.loads((best / "adapter_config.json").read_text())
    found = total * own["lora_alpha"] / own["r"]
    assert (found - wanted).abs().max() < 1e-5


def test_development_and_test_share_no_document_and_leave_none_out(root):
    given = load(root / "study.yml", body(root))
    sides = []
    for split in ("dev", "test"):
        inputs = given.tasks.inputs(split, 3)
        sides.append(chosen(inputs, loaded(inputs))["my_skill"])
    assert sorted(sides[0] + sides[1]) == list(range(40))
    assert not set(sides[0]) & set(sides[1])


def test_so_many_samples_are_some_of_a_split(root):
    few = load(root / "study.yml", body(root, tasks={**body(root)["tasks"], "samples": 5})).tasks
    every = load(root / "study.yml", body(root)).tasks
    for split in ("dev", "test"):
        one, other = (chosen(t.inputs(split, 1), loaded(t.inputs(split, 1))) for t in (few, every))
        assert len(one["my_skill"]) == 5
        assert set(one["my_skill"]) < set(other["my_skill"])


def tasks(root, **changes):
    return {"tasks": {**body(root)["tasks"], **changes}}


FAULTS = {
    "safety: ./nowhere": (lambda r: {"safety": "./nowhere"}, r"safety: .*nowhere: neither a local directory"),
    "no base": (lambda r: {"base": None}, "base: missing"),
    "typo": (lambda r: {"metods": ["sst"]}, "metods: unknown key .did you mean 'methods'"),
    "method": (lambda r: {"methods": ["sstt"]}, "methods: unknown method 'sstt'.*did you mean 'sst'"),
    "task": (lambda r: tasks(r, utility=["my_skil:acc"]), "unknown name 'my_skil'.*my_skill"),
    "metric": (
        lambda r: tasks(r, utility=["my_skill:ac"]),
        "tasks.utility: my_skill has no metric 'ac'.*acc",
    ),
    "less": (lambda r: tasks(r, utility=["my_skill:brier_score"]), "brier_score: less of it is better"),
    "form": (
        lambda r: tasks(r, safety=["my_refusal"]),
        r"tasks.safety\[0\]: got 'my_refusal', expected TASK:M",
    ),
    "folder": (lambda r: tasks(r, include_path=["./none"]), "none"),
    "split": (lambda r: {"split": {"dev": 1.5}}, "split.dev: got 1.5, expected a share"),
    "shared": (
        lambda r: {"split": {"dev": "./tasks", "test": "./tasks"}},
        "40 documents of my_refusal are in",
    ),
    "rows": (
        lambda r: {"calibration": {"harm": "./no.jsonl", "benign": "./benign.jsonl"}},
        "no.jsonl: no such",
    ),
    "choose": (lambda r: {"choose": {"price": 1}}, "choose: got .*expected one of"),
    "level": (lambda r: {"choose": {"safety": 9}}, "choose.safety: got 9, expected a number from 0 to 1"),
    "budget": (lambda r: {"budget": 6}, "budget: got 6, expected a multiple of 4"),
    "train": (lambda r: {"utility": {"train": "./benign.jsonl", "stepz": 3}}, "utility.stepz: unknown key"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_line_before_anything_is_made(root, name, here):
    changes, line = FAULTS[name]
    shutil.rmtree(root / "nothing", ignore_errors=True)
    done = study(root, **{"out": "./nothing", **changes(root)})
    assert done.exit_code == 2, done.output
    [said] = done.stderr.strip().splitlines()
    assert re.search(line, said), said
    assert not (root / "nothing").exists()


def test_a_task_for_each_split(root):
    sides = {"dev": "my_skill_dev:acc", "test": "my_skill:acc"}
    given = load(root / "study.yml", body(root, split=None, **tasks(root, utility=[sides], safety=[sides])))
    assert given.tasks.share is None
    assert given.tasks.names("dev") == ["my_skill_dev"]
    assert given.tasks.utility[0].label == "my_skill:acc"


def test_a_plan_makes_nothing_and_counts_units(root):
    done = study(
        root, "--plan", "--json", out="./planned", methods=["task_arithmetic", "sst", "lora_training"]
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["units"]["statistics"] == {"units": 2, "made": 0}
    assert found["units"]["train"]["units"] == 4
    assert not (root / "planned").exists()


@pytest.mark.slow
def test_only_measured(root, here):
    done = study(root, "--only", "measure", "--json", out="./measured")
    assert done.exit_code == 0, done.output
    names = {name.split(",")[0] for name in json.loads(done.stdout)["made"]}
    assert {"utility-kronecker", "safety-kronecker"} <= names
    assert not (root / "measured" / "results.json").exists()
    refused = study(root, "--only", "ties", out="./measured")
    assert "--only ties: not among the study's methods (task_arithmetic, sst)" in refused.stderr


def test_init_writes_a_file_that_loads(root, tmp_path):
    file = tmp_path / "new.yml"
    words = ["study", str(file), "--init", "--base", root / "base", "--utility", root / "skill"]
    words += ["--safety", root / "safety", "--harm", root / "harm.jsonl", "--benign", root / "benign.jsonl"]
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exit_code == 0, done.output
    assert load(file).tuning.budget == 16
    again = CliRunner().invoke(main, list(map(str, words)))
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    short = CliRunner().invoke(main, ["study", str(tmp_path / "other.yml"), "--init", "--base", "b"])
    assert "--utility, --safety, --harm, --benign missing" in short.stderr


def test_in_python_a_fault_is_an_exception(root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(SstError, match="budget: got 5"):
        sst_mergekit.study(body(root, budget=5))
    assert load_tasks("my_skill", include_path=root / "tasks")["tasks"]
