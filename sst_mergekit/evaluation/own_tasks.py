"""Has lm-eval's command look through our task folder alone where only our tasks are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from typing import Any

from sst_mergekit.resources import tasks_path


@contextmanager
def own_tasks_alone() -> Iterator[None]:
    """Inside, lm-eval's ``run`` leaves its own 14,000 task files unread where they are not needed.

    That is where every task asked for is ours, by its full name. It saves seconds a run. A pattern, a file,
    another task or another include path has all of them read.
    """
    from lm_eval.config.evaluate_config import EvaluatorConfig

    stock = EvaluatorConfig.process_tasks

    def process_tasks(self: Any, metadata: dict[str, Any] | None = None) -> Any:
        with _index_of_ours() if all_ours(self.tasks, self.include_path) else nullcontext():
            return stock(self, metadata)

    EvaluatorConfig.process_tasks = process_tasks
    try:
        yield
    finally:
        EvaluatorConfig.process_tasks = stock


def all_ours(asked: str | Sequence[str], include_path: object) -> bool:
    """Returns whether the tasks `asked`, as lm-eval's command takes them, are all names of ours.

    >>> all_ours(["sst_mmlu,sst_humaneval", "sst_safety_utility"], tasks_path())
    True
    >>> all_ours("sst_mmlu,gsm8k", tasks_path()), all_ours("sst_*", tasks_path())
    (False, False)
    """
    wanted = [asked] if isinstance(asked, str) else asked
    names = {name for text in wanted for name in text.split(",")}
    return str(include_path) == str(tasks_path()) and names <= _names()


@cache
def _names() -> frozenset[str]:
    from lm_eval.tasks import TaskManager

    return frozenset(TaskManager(include_path=str(tasks_path()), include_defaults=False).all_tasks)


@contextmanager
def _index_of_ours() -> Iterator[None]:
    from lm_eval import tasks

    stock = tasks.TaskManager
    tasks.TaskManager = partial(stock, include_defaults=False)
    try:
        yield
    finally:
        tasks.TaskManager = stock
