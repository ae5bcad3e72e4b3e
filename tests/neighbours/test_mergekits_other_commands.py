"""Our recipes in mergekit-multi, and what mergekit-evolve can make of our results."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from click.testing import CliRunner
from mergekit.config import MergeConfiguration
from mergekit.evo.config import EvolMergeConfiguration, check_for_naughty_config
from mergekit.evo.genome import ModelGenome
from mergekit.io.tasks import LoaderCache
from mergekit.scripts.multimerge import main as mergekit_multi
from safetensors.torch import load_file
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics

import sst_mergekit
from sst_mergekit.merging.run import merge
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.resources import recipes_path

BASE = "mistralai/Mistral-7B-v0.1"
MULTI, EVOLVE = (recipes_path() / "neighbours" / name for name in ("multi.yml", "evolve.yml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: the experts and statistics that the files name, tiny."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LoaderCache, "loaders", {})  # it would outlive the directory
    data = tiny_data(tmp_path / "data.jsonl")
    tiny_llama(tmp_path / "base", 0)
    for seed, name in enumerate(("math", "code", "safety", "utility"), start=1):
        tiny_llama(tmp_path / f"experts/mistral-7b-{name}", seed)
    for name in ("math", "safety"):
        tiny_statistics(tmp_path / f"fisher/mistral-7b-{name}", tmp_path / f"experts/mistral-7b-{name}", data)
    return tmp_path


def test_mergekit_multi_merges_into_what_it_merged(folder: Path) -> None:
    sst_mergekit.register()
    text = MULTI.read_text().replace(BASE, "./base")
    Path("multi.yml").write_text(text)
    line = [
        "multi.yml",
        "--intermediate-dir",
        f"{folder}/stages",
        "--out-path",
        f"{folder}/merged",
        "--quiet",
    ]
    done = CliRunner().invoke(mergekit_multi, line, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    first, second = map(yaml.safe_load, text.split("\n---\n"))
    assert first.pop("name") == second["models"][0]["model"] == "safer"
    second["models"][0]["model"] = "./stages/safer"
    for name, recipe in (("first", first), ("second", second)):
        Path(f"{name}.yml").write_text(yaml.safe_dump(recipe))
        assert check_recipe(f"{name}.yml") == []
    merge("first.yml", "safer", "--quiet")
    merge("second.yml", "alone", "--quiet")
    for one, other in (("stages/safer", "safer"), ("merged", "alone")):
        whole, alone = (load_file(f"{name}/model.safetensors") for name in (one, other))
        assert whole.keys() == alone.keys()
        assert all(torch.equal(whole[name], alone[name]) for name in whole)


def genome(models: list[str]) -> EvolMergeConfiguration:
    body = yaml.safe_load(EVOLVE.read_text())
    body["genome"] |= {"models": models, "layer_granularity": 1}
    return EvolMergeConfiguration.model_validate(body)


def test_mergekit_evolve_takes_the_file_and_its_genotypes_merge(folder: Path) -> None:
    tiny_adapter(folder / "refit/mistral-7b-full", folder / "experts/mistral-7b-utility", 5)
    config = EvolMergeConfiguration.model_validate(yaml.safe_load(EVOLVE.read_text()))
    check_for_naughty_config(config)
    assert config.genome.merge_method == "task_arithmetic"
    evolved = genome([str(model) for model in config.genome.models])
    started = ModelGenome(evolved.genome)
    recipe = started.genotype_merge_config(started.initial_genotype() * 0.7)
    assert isinstance(recipe, MergeConfiguration)
    Path("evolved.yml").write_text(recipe.to_yaml())
    merge("evolved.yml", "merged", "--quiet", on_faults=None)
    base = load_file("experts/mistral-7b-utility/model.safetensors")
    merged = load_file("merged/model.safetensors")
    changed = {name for name in base if not torch.equal(base[name].bfloat16(), merged[name].bfloat16())}
    assert changed
    assert all("q_proj" in name or "up_proj" in name for name in changed)  # where the patch is


def test_mergekit_evolve_knows_no_method_of_ours() -> None:
    body = yaml.safe_load(EVOLVE.read_text())
    body["genome"]["merge_method"] = "sst"
    with pytest.raises(ValueError, match="Invalid merge method"):
        EvolMergeConfiguration.model_validate(body)


def test_the_tasks_and_metrics_of_the_file_are_ours() -> None:
    from lm_eval.tasks import TaskManager

    from sst_mergekit.resources import tasks_path
    from sst_mergekit.sharing.tasks import TASKS

    known = TaskManager(include_path=str(tasks_path()), include_defaults=False).all_tasks
    for task in yaml.safe_load(EVOLVE.read_text())["tasks"]:
        assert task["name"] in known
        assert task["metric"] in {f"{metric},none" for metric in TASKS[task["name"]].metrics}
