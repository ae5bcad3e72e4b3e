"""lm-eval's own command in this process, with less work for the same numbers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager


def lm_eval(arguments: Sequence[str], scores: bool = True) -> None:
    """Runs the command; where it `scores`, our tasks alone are looked through if no others are asked for,
    prompts are encoded once, and a batch that does not fit into memory is halved.
    """
    from lm_eval.__main__ import cli_evaluate

    from sst_mergekit.evaluation.out_of_memory import halving_batches
    from sst_mergekit.evaluation.own_tasks import own_tasks_alone
    from sst_mergekit.evaluation.processes import dividing_requests
    from sst_mergekit.evaluation.prompts_once import prompts_once

    with ExitStack() as around:
        around.enter_context(argv(arguments))
        for context in (halving_batches, dividing_requests, own_tasks_alone, prompts_once) if scores else ():
            around.enter_context(context())
        cli_evaluate()


@contextmanager
def argv(arguments: Sequence[str]) -> Iterator[None]:
    """Inside, these are the arguments of this process."""
    before = sys.argv
    sys.argv = ["sst-mergekit eval", *arguments]
    try:
        yield
    finally:
        sys.argv = before
