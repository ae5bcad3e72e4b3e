"""lm-eval's own command in this process, with our tasks beside its own and those of the user's folders."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any
from unittest.mock import patch

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation.out_of_memory import halving
from sst_mergekit.evaluation.processes import dividing_requests
from sst_mergekit.evaluation.task_names import our_tasks, task_folders

SUBCOMMANDS = ("run", "ls", "validate")
_REMEDIES = {  # of lm-eval's errors, by their texts
    "Tasks not found": "'sst-mergekit eval ls tasks' lists all names",
    "Duplicate task": "ask for the group or for its members",
    "marked as unsafe": "give --confirm_run_unsafe_code to have the model's programs run",
}


def parsed(arguments: Sequence[str]) -> Namespace:
    """Return what lm-eval's command makes of `arguments`, its include path being our folder and theirs.

    Raises:
        EvaluationError: a folder or a file of settings that is not there or cannot be read.
    """
    from lm_eval._cli import HarnessCLI

    words = arguments if arguments and arguments[0] in SUBCOMMANDS else ["run", *arguments]
    with patch.object(sys, "argv", ["sst-mergekit eval", *words]):
        asked = HarnessCLI().parse_args()
    asked.include_path = list(task_folders(_theirs(asked)))
    return asked


def _theirs(asked: Namespace) -> Any:
    """Return the include path of the command line, else of the file of settings."""
    from lm_eval.config.evaluate_config import EvaluatorConfig

    given, config = asked.include_path, getattr(asked, "config", None)
    if given is None and config is not None:
        try:
            given = EvaluatorConfig.load_yaml_config(config).get("include_path")
        except (OSError, ValueError, TypeError) as error:
            raise EvaluationError(f"--config: {error}") from error
    return given or ()


def execute(asked: Namespace) -> None:
    """Do what was asked, by lm-eval's own code; a batch that does not fit into memory is halved for good.

    Raises:
        EvaluationError: a task that is not there or there twice, or that needs consent.
    """
    from lm_eval import tasks
    from lm_eval.utils import setup_logging

    def attempt(size: int | None) -> None:
        if size is not None:
            asked.batch_size = str(size)
        asked.func(asked)

    setup_logging()
    if asked.command != "run":
        return attempt(None)
    size = str(getattr(asked, "batch_size", ""))
    alone = partial(tasks.TaskManager, include_defaults=False)
    # lm-eval reads its own 14,000 task files, for seconds of each run, also where none of them is asked for
    index = patch.object(tasks, "TaskManager", alone) if _ours_alone(asked) else nullcontext()
    try:
        with dividing_requests(), index:
            return halving(attempt, int(size) if size.isdecimal() else None)
    except ValueError as error:
        remedy = next((remedy for text, remedy in _REMEDIES.items() if text in str(error)), None)
        if remedy is None:
            raise
        raise EvaluationError(f"--tasks: {error}; {remedy}") from error


def _ours_alone(asked: Namespace) -> bool:
    names = getattr(asked, "tasks", None)
    return isinstance(names, list) and len(asked.include_path) == 1 and set(names) <= our_tasks()
