"""The main job, really run: trained experts, statistics, merges by mergekit, scores by lm-eval."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sst_mergekit.experiments.demo import run
from sst_mergekit.experiments.demo_plan import QUICK, TRAININGS, SeedPlan
from sst_mergekit.experiments.methods import METHODS
from sst_mergekit.testbeds.scores import BATCH_SIZE

pytestmark = pytest.mark.slow

SST = next(method for method in METHODS if method.name == "sst")
COMPARED = ("task_arithmetic", "dare_ties", "sst", *TRAININGS)
SIZE = dataclasses.replace(QUICK, budget=4, samples=64, steps=(20, 40), rates=(1e-3, 2e-3), methods=COMPARED)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return out, run(out, [0], SIZE, workers=2, progress=False)


def test_experts_are_really_trained(done):
    _, [result] = done
    utility, safety = result.experts["utility"], result.experts["safety"]
    assert utility.safety.value <= 0.3
    assert utility.utility.value >= result.experts["base"].utility.value
    assert safety.safety.value >= 0.9
    assert safety.utility.value <= utility.utility.value - 0.05


def test_every_method_is_scored_on_the_test_split(done):
    _, [result] = done
    assert set(result.methods) == set(COMPARED)
    for name, method in result.methods.items():
        assert method.tried == SIZE.budget, name
        assert method.divergence > 0, name
        assert all(point.test.safety.n > 0 for point in method.front), name


def test_a_second_run_does_nothing_again_and_says_the_same(done):
    out, results = done
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.json") if "scores" in path.parts}
    assert run(out, [0], SIZE, workers=1, progress=False) == results
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def test_a_lost_score_is_found_again_with_the_same_value(done):
    out, results = done
    chosen = results[0].methods["sst"].chosen.settings
    plan = SeedPlan(out / "seed-0", 0, SIZE)
    name = plan.merge(SST, chosen).candidate.name
    before = plan.score_file("dev", name).read_text()
    plan.score_file("dev", name).unlink()
    assert run(out, [0], SIZE, workers=1, progress=False) == results
    assert plan.score_file("dev", name).read_text() == before


def script(name):
    return str(Path(sys.executable).with_name(name))


def test_stock_mergekit_and_stock_lm_eval_give_the_demos_numbers(done, tmp_path):
    """The two commands of the README on a recipe of the demo, with no import of ours."""
    out, [result] = done
    plan = SeedPlan(out / "seed-0", 0, SIZE)
    chosen = result.methods["sst"].chosen
    trial = plan.merge(SST, chosen.settings)
    merged = tmp_path / "merged"
    merge = [script("mergekit-yaml"), str(trial.candidate.recipe), str(merged)]
    cache = ["--lora-merge-cache", str(tmp_path / "cache"), "--lora-merge-dtype", "float32", "--quiet"]
    subprocess.run([*merge, *cache], check=True, capture_output=True)
    tasks = subprocess.run([script("sst-mergekit"), "tasks-path"], check=True, capture_output=True, text=True)
    command = [script("lm_eval"), "run", "--model", "hf", "--batch_size", str(BATCH_SIZE), "--device", "cpu"]
    command += ["--model_args", f"pretrained={merged},dtype=float32,max_length=256", "--num_fewshot", "0"]
    command += ["--gen_kwargs", "max_gen_toks=24"]  # as the demo scores its short answers
    command += ["--apply_chat_template", "--include_path", tasks.stdout.strip()]
    command += ["--tasks", "sst_safety_utility", "--confirm_run_unsafe_code"]
    command += ["--output_path", str(tmp_path / "results")]
    environment = os.environ | {"SST_MERGEKIT_DATA_DIR": str(plan.split("test"))}
    subprocess.run(command, check=True, capture_output=True, env=environment)
    [path] = (tmp_path / "results").rglob("results_*.json")
    found = json.loads(path.read_text())["results"]
    assert found["sst_beavertails_refusal"]["refusal_rate,none"] == chosen.test.safety.value
    assert found["sst_mmlu"]["acc,none"] == chosen.test.mmlu.value
    assert found["sst_over_refusal"]["compliance_rate,none"] == chosen.test.compliance.value
