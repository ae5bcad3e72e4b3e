"""Experiments really run, on a world too small to learn: killed in the middle, continued, shared."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from sst_mergekit.comparison.run import Options, compare
from sst_mergekit.experiments.config import load
from sst_mergekit.experiments.request import Request
from sst_mergekit.experiments.run import run
from sst_mergekit.resources import recipes_path

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
SIZES = {
    "beavertails": {"train_samples": 8, "eval_samples": 6, "batch_size": 64},
    "mmlu": {"subjects": None, "max_samples": 6, "batch_size": 64},
    "humaneval": {"max_samples": 4, "batch_size": 64},
}


def shrink():
    """Make the world, and the tasks, too small to learn anything."""
    from sst_mergekit.experiments import request
    from sst_mergekit.experiments.tasks import TaskSize
    from sst_mergekit.testbeds.tiny import sizes as tiny
    from sst_mergekit.testbeds.tiny.world import QUICK

    steps = {"base_steps": 8, "utility_steps": 4, "safety_steps": 4}
    small = {"width": 32, "layers": 2, "look_alikes": 4, "calibration_rows": 16}
    tiny.FULL = dataclasses.replace(QUICK, **steps, **small)
    request.TASK_SIZE = TaskSize(tasks=3, rows=32, steps=4, prompts=3, samples=8)


def asked(out: Path, experiments: tuple[str, ...]) -> Request:
    """A request for one seed of the shrunken world."""
    body = yaml.safe_load((recipes_path() / "experiments" / "experiments.yml").read_text())
    body["models"]["tiny-world"]["datasets"]["minimal"] = SIZES
    body["experiments"]["exp2_multitask"]["minimal"] = {"num_experts": [2, 3]}
    body["experiments"]["exp3_baseline"]["minimal"] = {"methods": ["TA", "SST-Merge"], "budget": 4}
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.parent / "small.yml"
    path.write_text(yaml.safe_dump(body))
    config = load(path)
    models = [config.models["tiny-world"]]
    return Request(config, "minimal", models, experiments, range(42, 43), out, 1, "a command")


def main(out: str) -> None:
    """Run all experiments in a process of its own."""
    shrink()
    run(asked(Path(out), ("exp3", "exp1", "exp2")), progress=False)


def results(out: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in out.rglob("exp?_results_*.json")}


# what is there when a run is killed: in the midst of training, of scoring, and of the last experiment
MOMENTS = {"train": "train/.*", "score": "score/[0-9a-f]*", "statistics": "statistics/*"}
COUNTS = {"train": 1, "score": 3, "statistics": 4}  # experiment 2's are the third and later


def kill(call: list[str], out: Path, moment: str) -> dict[Path, int]:
    """Start a run, kill it and its workers at the moment; return when each of its units was made."""
    process = subprocess.Popen(call, start_new_session=True)
    while process.poll() is None and len(list((out / "units").glob(MOMENTS[moment]))) < COUNTS[moment]:
        time.sleep(0.05)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return {path: path.stat().st_mtime_ns for path in (out / "units").glob("*/*/unit.json")}


def test_kills_and_another_start_end_with_the_same_numbers(tmp_path):
    out = tmp_path / "killed"
    call = [sys.executable, str(HERE / "test_experiment_run.py"), str(out)]
    made: dict[Path, int] = {}
    for moment in MOMENTS:
        before, made = made, kill(call, out, moment)
        assert before.items() <= made.items()  # never twice
        assert len(before) < len(made)
    assert set(results(out)) == {
        "exp1_results_tiny-world_minimal.json",
        "exp3_results_tiny-world_minimal.json",
    }
    # two at once in the same folder, then one alone in another
    pair = [subprocess.Popen(call) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0]
    assert made == {path: path.stat().st_mtime_ns for path in made}  # never twice
    assert not list((out / "units").glob("*/.*"))  # nothing half-made is left
    subprocess.run([*call[:2], str(tmp_path / "whole" / "out")], check=True)
    found = results(out)
    assert len(found) == 3
    assert found == results(tmp_path / "whole" / "out")  # to the last byte
    compared = compare([str(next(out.rglob("exp3_results_*.json")))], Options(resamples=100))
    assert compared.runs == ["base", "utility-expert", "safety-expert", "Task-Arithmetic", "SST-Merge"]
    assert {metric.n for metric in compared.metrics if metric.task == "sst_beavertails_refusal"} == {6}
    body = json.loads(found["exp3_results_tiny-world_minimal.json"])
    counts = {row["method"]: row["parts"]["safety"]["n"] for row in body["results"]}
    assert set(counts.values()) == {SIZES["beavertails"]["eval_samples"]}
    assert {row["settings_tried"] for row in body["results"] if "settings_tried" in row} == {4}
    rows = {row["method"]: row for row in body["results"]}
    for method, place in body["units"]["42"].items():
        table = json.loads((out / "units" / place / "result/table.json").read_text())
        assert table["sst_beavertails_refusal"]["refusal_rate"]["value"] == rows[method]["safety_score"]
    one = json.loads(found["exp1_results_tiny-world_minimal.json"])
    assert one["safety"]["jailbreak_samples"] == 6 * 8  # every wrapping
    two = json.loads(found["exp2_results_tiny-world_minimal.json"])
    assert set(two["3"]["methods"]) == {"SST-Merge", "TA", "TIES", "DARE", "dare_ties", "KnOTS"}
    manifests = [json.loads(path.read_text()) for path in (out / "manifests").iterdir()]
    assert len(manifests) == 2
    assert set(manifests[0]["data"]) == {"data, seed 42", "tasks, seed 42"}
    assert manifests[0]["data"] == manifests[1]["data"]
    assert sum(phase["made"] for phase in manifests[0]["phases"] + manifests[1]["phases"]) > 0


if __name__ == "__main__":
    main(sys.argv[1])
