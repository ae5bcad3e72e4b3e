"""The command: every combination parses and plans, nothing is done by a plan, every fault is one line."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_mergekit.cli import main

PUBLISHED = str(Path(__file__).parent / "published_config.yml")


def call(*words):
    return CliRunner().invoke(main, ["experiment", *words])


MODELS = ("tiny-world", "mistral-7b", "llama-3.1-8b", "qwen-2.5-14b", "all")


@pytest.mark.parametrize(("mode", "model"), itertools.product(("minimal", "full"), MODELS))
def test_every_combination_plans_and_writes_nothing(tmp_path, mode, model):
    for experiment in ("exp1", "exp2", "exp3", "all") if model != "tiny-world" else ("exp1",):
        words = ["--mode", mode, "--model", model, "--experiment", experiment, "--seeds", "1"]
        if model == "all" and experiment != "exp1":
            continue
        result = call(*words, "--out", str(tmp_path / "out"), "--plan")
        assert result.exit_code == 0, result.output
        assert "disk:" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_plan_of_the_tiny_world_names_every_unit():
    text = call("--experiment", "all", "--seeds", "2", "--plan").output
    assert "exp1: " in text
    assert "base, seed 42" in text
    assert "base, seed 43" in text
    assert "task07-kronecker, seed 43" in text
    assert "a split: 168 harmful prompts, 90 look-alikes, 160 questions, 96 programs" in text
    assert " 0 of them made" in text


def test_the_plan_of_a_hub_model_says_sizes_and_disk():
    text = call("--config", PUBLISHED, "--model", "mistral-7b", "--mode", "full", "--plan").output
    assert "10000 rows to train either expert on" in text
    assert "a split: 2000 harmful prompts, all 14042 questions, all 164 programs" in text
    assert "float16, device_map auto, flash attention True" in text
    assert "about 14 GB for the model, about 28 GB for a folded expert" in text
    assert "[8, 12, 16, 20, 24] experts" in text


def plans(*words):
    return json.loads(call(*words, "--plan", "--json").output)["plan"]


def test_the_plan_as_json_counts_what_its_units_are(tmp_path):
    words = ["--experiment", "all", "--seeds", "1", "--workers", "2", "--out", str(tmp_path / "out")]
    [plan] = plans(*words)
    units = plan["units"]
    assert len({unit["key"] for unit in units}) == len(units) > 100
    kinds = {unit["kind"] for unit in units}
    assert kinds == {"data", "train", "statistics", "fold", "score"} == set(plan["kinds"])
    for kind, found in plan["kinds"].items():
        of = [unit for unit in units if unit["kind"] == kind]
        assert found == {"units": len(of), "made": 0, "bytes": sum(unit["bytes"] for unit in of)}
    assert plan["disk"]["units"] == sum(unit["bytes"] for unit in units) > 0
    assert [part["experiment"] for part in plan["experiments"]] == ["exp1", "exp2", "exp3"]
    assert (plan["seeds"], plan["needs"]["network"], plan["needs"]["workers"]) == ([42], False, 2)
    made = tmp_path / "out" / "units" / units[0]["kind"] / units[0]["key"]
    made.mkdir(parents=True)
    [again] = plans(*words)
    assert [unit["key"] for unit in again["units"] if unit["made"]] == [units[0]["key"]]
    assert again["disk"]["units"] == plan["disk"]["units"] - units[0]["bytes"]


def test_the_plan_of_a_hub_model_as_json_tells_what_it_needs():
    [plan] = plans("--config", PUBLISHED, "--model", "mistral-7b", "--seeds", "2", "--experiment", "exp2")
    experts = 16 * 2  # of two seeds
    assert plan["kinds"]["statistics"] == {"units": experts, "made": None, "bytes": None}
    assert plan["experiments"][0]["units"]["train"] == experts
    assert {(unit["key"], unit["made"]) for unit in plan["units"]} == {(None, None)}
    assert plan["disk"]["the model"] == 14_000_000_000
    assert plan["needs"]["torch_dtype"] == "float16"
    assert plan["needs"]["confirm_run_unsafe_code"] is False


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--model", "mistral"], "--model: 'mistral' is not in"),
        (["--config", PUBLISHED], "--model: 'tiny-world' is not in"),
        (["--config", "none.yml"], "none.yml: cannot be read"),
        (["--model", "mistral-7b"], "allow it by --confirm-run-unsafe-code, or take --experiment exp2"),
        (["--model", "all"], "allow it by --confirm-run-unsafe-code"),
        (
            ["--model", "mistral-7b", "--confirm-run-unsafe-code"],
            "get it by 'sst-mergekit data download --dataset beavertails --size 30k --out data/cache'",
        ),
        (["--out", __file__], "is a file; choose another --out"),
    ],
)
def test_every_fault_is_one_line(tmp_path, monkeypatch, words, line):
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert result.exit_code == 2
    assert line in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--mode", "tiny"], ["--experiment", "exp4"], ["--seeds", "0"]])
def test_unknown_choices_are_refused(words):
    result = call(*words)
    assert result.exit_code == 2
    assert "Invalid value" in result.stderr


def test_the_module_is_the_same_command():
    words = [sys.executable, "-m", "sst_mergekit", "experiment", "--experiment", "exp1", "--seeds", "1"]
    done = subprocess.run([*words, "--plan"], capture_output=True, text=True, check=True)
    assert "disk:" in done.stdout


def test_a_manifest_says_what_a_run_was(tmp_path):
    from sst_mergekit.jobs.manifest import git_state, manifest, tree_hash
    from sst_mergekit.jobs.runner import Done

    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("x")
    config = Path(PUBLISHED)
    phases = [Done("score", 3, 1, 2.5), Done("merge", 1, 0, 1.5)]
    body = manifest("sst-mergekit experiment", config, [42], [("data", tmp_path / "data")], phases)
    assert json.loads(json.dumps(body)) == body
    assert body["seconds"] == 4.0
    assert body["phases"][0] == {"label": "score", "made": 3, "there": 1, "seconds": 2.5}
    before = tree_hash(tmp_path / "data")
    assert body["data"] == {"data": before}
    (tmp_path / "data" / "a").rename(tmp_path / "data" / "b")
    assert tree_hash(tmp_path / "data") != before
    assert git_state(tmp_path / "data" / "b") is None
