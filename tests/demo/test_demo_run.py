"""The main job, really run: trained experts, statistics, merges by mergekit, scores by lm-eval."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sst_mergekit.experiments.demo import QUICK, Size, run
from sst_mergekit.experiments.trials import TRAININGS, Tuning, trial
from sst_mergekit.jobs.store import Store
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
        assert method.tried == SIZE.tuning.budget, name
        assert method.apart.divergence > 0, name
        assert method.apart.perplexity > 1, name
        assert all(point.test.safety.n > 0 for point in method.front), name


def test_a_second_run_does_nothing_again_and_says_the_same(done):
    out, results = done
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.json") if "units" in path.parts}
    assert run(out, [0], SIZE, 1, progress=False) == results
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}


def unit_of(result, split):
    return BED.score(trial(BED, "sst", result.methods["sst"].chosen.settings).model, split)


def test_a_lost_score_is_found_again_with_the_same_value(done):
    out, results = done
    store, unit = Store(out / "units"), unit_of(results[0], "dev")
    before = (store.path(unit) / "table.json").read_text()
    shutil.rmtree(store.path(unit).parent)
    assert run(out, [0], SIZE, 1, progress=False) == results
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
    out, [result] = done
    chosen, store = result.methods["sst"].chosen, Store(out / "units")
    recipe = store.path(unit_of(result, "test")) / "recipe.yml"
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
    assert found["sst_beavertails_refusal"]["refusal_rate,none"] == chosen.test.safety.value
    assert found["sst_mmlu"]["acc,none"] == chosen.test.parts["mmlu"].value
    assert found["sst_over_refusal"]["compliance_rate,none"] == chosen.test.parts["compliance"].value
