"""Every task file is found, builds, and says what lm-eval would otherwise guess."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from small_tasks import TASKS, ScriptedModel

from sst_mergekit.evaluation import beavertails
from sst_mergekit.evaluation.harness import load_tasks, score
from sst_mergekit.evaluation.weights import LEAF_WEIGHTS
from sst_mergekit.resources import tasks_path

FILES = sorted(tasks_path().rglob("*.yaml"))
LEAVES = [file for file in FILES if file.stem in TASKS]
HEADINGS = (
    "### Paper",
    "### Citation",
    "### Groups, Tags, and Tasks",
    "### Checklist",
    "### Changelog",
    "### Licence",
)


def test_each_folder_holds_its_task_and_nothing_is_missing() -> None:
    assert [file.stem for file in FILES] == sorted([*TASKS, "sst_safety_utility"])
    assert all(file.parent.name == file.stem for file in FILES)
    assert set(LEAF_WEIGHTS) == set(TASKS)


def test_each_file_is_known_by_its_name_and_loads(small_data: Path) -> None:
    manager = TaskManager(
        include_path=str(tasks_path()), include_defaults=False, metadata={"data_dir": str(small_data)}
    )
    assert manager.all_tasks == [file.stem for file in FILES]
    for file in FILES:
        assert file.stem in str(manager.load([file.stem]))


@pytest.mark.parametrize("file", LEAVES, ids=lambda file: file.stem)
def test_a_task_states_its_aggregations_directions_and_version(file: Path) -> None:
    config = load_yaml(file, resolve_func=False)
    assert config["task"] == file.stem
    assert isinstance(config["metadata"]["version"], float)
    for entry in config["metric_list"]:
        assert set(entry) == {"metric", "aggregation", "higher_is_better"}
        assert "," not in entry["metric"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_task_is_documented_in_lm_evals_form(file: Path) -> None:
    text = (file.parent / "README.md").read_text(encoding="utf-8")
    assert [heading for heading in HEADINGS if f"\n{heading}\n" not in text] == []
    assert f"`{file.stem}`" in text
    version = load_yaml(file, resolve_func=False)["metadata"]["version"]
    assert f"\n* {version}: " in text.split("### Changelog")[1]


def test_metrics_that_are_emitted_are_those_listed(small_data: Path) -> None:
    tasks = load_tasks("sst_safety_utility", data_dir=small_data, overrides={"sst_mmlu": {"num_fewshot": 0}})
    samples = score(ScriptedModel(), tasks, confirm_run_unsafe_code=True)["samples"]
    for name, task in tasks["tasks"].items():
        listed = {entry["metric"] for entry in task.config.metric_list}
        emitted = {metric for sample in samples[name] for metric in sample["metrics"]}
        assert emitted <= listed
        if name != "sst_beavertails_refusal":  # where a category without a prompt has no metric
            assert emitted == listed


def test_every_beavertails_category_has_its_metric() -> None:
    config = load_yaml(
        tasks_path() / "sst_beavertails_refusal/sst_beavertails_refusal.yaml", resolve_func=False
    )
    listed = [entry["metric"] for entry in config["metric_list"]]
    categories = [beavertails.metric_of(category) for category in beavertails.CATEGORIES]
    assert listed == ["refusal_rate", "degenerate_rate", "sst_score", *categories]
    assert len(set(categories)) == 14


def test_the_group_holds_every_weighted_leaf_and_takes_the_plain_mean() -> None:
    config = yaml.safe_load((tasks_path() / "sst_safety_utility/sst_safety_utility.yaml").read_text())
    assert config["task"] == list(LEAF_WEIGHTS)
    assert config["aggregate_metric_list"] == [
        {"metric": "sst_score", "aggregation": "mean", "weight_by_size": False}
    ]


def test_only_humaneval_is_unsafe(small_data: Path) -> None:
    tasks = load_tasks(list(TASKS), data_dir=small_data)["tasks"]
    assert [name for name, task in tasks.items() if getattr(task, "UNSAFE_CODE", False)] == ["sst_humaneval"]
