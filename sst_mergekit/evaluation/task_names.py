"""Where task files are looked for: our folder, then those that the user adds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.errors import EvaluationError
from sst_mergekit.resources import tasks_path


def task_folders(theirs: str | Path | Sequence[str | Path]) -> tuple[str, ...]:
    """Return our folder and theirs, as lm-eval's ``TaskManager`` takes them.

    Raises:
        EvaluationError: a folder that is not there, which lm-eval would pass over in silence.
    """
    added = [theirs] if isinstance(theirs, (str, Path)) else theirs
    folders = tuple(dict.fromkeys([str(tasks_path()), *map(str, added)]))
    for folder in folders:
        if not Path(folder).is_dir():
            raise EvaluationError(f"include_path: {folder}: no such folder; name one that holds task files")
    return folders


def our_tasks() -> frozenset[str]:
    """Return the names of our tasks and groups."""
    from lm_eval.tasks import TaskManager

    return frozenset(TaskManager(include_path=str(tasks_path()), include_defaults=False).all_tasks)
