"""lm-eval's own task files are read where they are needed, and left alone where they are not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from lm_eval import tasks
from lm_eval.config.evaluate_config import EvaluatorConfig

from sst_mergekit.evaluation.own_tasks import all_ours, own_tasks_alone
from sst_mergekit.resources import tasks_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each task manager that is made reads lm-eval's own tasks; it finds whatever is asked for."""
    found: list[bool] = []

    def manager(include_path: object, metadata: object, include_defaults: bool = True) -> SimpleNamespace:
        found.append(include_defaults)
        return SimpleNamespace(match_tasks=list, include_path=include_path)

    all_ours("sst_mmlu", tasks_path())  # our names are known from here on
    monkeypatch.setattr(tasks, "TaskManager", manager)
    return found


@pytest.mark.parametrize(
    ("asked", "theirs"),
    [
        ("sst_mmlu", False),
        ("sst_mmlu,sst_safety_utility", False),
        (["sst_humaneval", "sst_mmlu,sst_xstest"], False),
        ("sst_mmlu,gsm8k", True),
        (["sst_*"], True),
        ("sst_mmluu", True),
        ("mine.yaml", True),
    ],
)
def test_only_names_of_ours_spare_the_reading(read: list[bool], asked: str | list[str], theirs: bool) -> None:
    config = EvaluatorConfig(tasks=asked, include_path=str(tasks_path()))
    stock = EvaluatorConfig.process_tasks
    with own_tasks_alone():
        if asked == "mine.yaml":
            with pytest.raises(ValueError, match="Tasks not found"):
                config.process_tasks()
        else:
            config.process_tasks()
    assert read == [theirs]
    assert EvaluatorConfig.process_tasks is stock


@pytest.mark.parametrize("path", [None, "mine"])
def test_another_include_path_has_all_read(read: list[bool], path: str | None) -> None:
    with own_tasks_alone():
        EvaluatorConfig(tasks="sst_mmlu", include_path=path).process_tasks()
    EvaluatorConfig(tasks="sst_mmlu", include_path=str(tasks_path())).process_tasks()  # outside
    assert read == [True, True]


def test_the_real_index_is_that_of_our_folder() -> None:
    config = EvaluatorConfig(tasks=["sst_mmlu"], include_path=str(tasks_path()))
    stock = tasks.TaskManager
    with own_tasks_alone():
        manager = config.process_tasks()
    assert tasks.TaskManager is stock
    assert config.tasks == ["sst_mmlu"]
    assert all(name.startswith("sst_") for name in manager.all_tasks)
    assert {"sst_mmlu", "sst_safety_utility"} <= set(manager.all_tasks)
