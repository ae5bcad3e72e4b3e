"""Lets the processes of ``accelerate launch`` divide lm-eval's requests: on the CPU too, with all metrics.

Needed because lm-eval 0.4's ``hf`` takes over rank and number of processes only where it sees more than one
GPU; on the CPU every process would score everything and write results of its own. And it joins the metrics
that rank 0 has: one of a few documents (a category of harm) is dropped if rank 0 has none of them, and raises
KeyError if another process has none.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import chain
from typing import Any
from unittest.mock import patch


def is_first() -> bool:
    """Return whether this process writes results: alone, or rank 0 of ``accelerate launch``."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def dividing_requests() -> Iterator[None]:
    """Inside, each process of ``accelerate launch`` scores its share, and no metric is lost."""
    from lm_eval import evaluator
    from lm_eval.models.huggingface import HFLM

    stock_start, stock_gather, stock_process = HFLM.__init__, HFLM.gather_object, evaluator._process_results
    gathered: list[dict[str, Any]] = []

    @wraps(stock_start)
    def start(lm: Any, *args: Any, **kwargs: Any) -> None:
        stock_start(lm, *args, **kwargs)
        accelerator = getattr(lm, "accelerator", None)
        if accelerator is not None and lm.world_size == 1:
            lm._rank, lm._world_size = accelerator.process_index, accelerator.num_processes
            atexit.unregister(_leave)
            atexit.register(_leave)

    def gather(lm: Any, obj: Any, dst: int = 0) -> Any:
        found = stock_gather(lm, obj, dst)
        if found and all(isinstance(values, dict) for values in found[0].values()):  # metrics, not samples
            gathered[:] = with_all_metrics(found)
        return found

    def process(joined: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        for task, entry in joined.items():
            for key in gathered[0][task] if gathered else ():
                if key not in entry["raw_metrics"]:
                    entry["raw_metrics"][key] = list(chain.from_iterable(one[task][key] for one in gathered))
        gathered.clear()
        return stock_process(joined, *args, **kwargs)

    with (
        patch.object(HFLM, "__init__", start),
        patch.object(HFLM, "gather_object", gather),
        patch.object(evaluator, "_process_results", process),
    ):
        yield


def _leave() -> None:
    """Leave the group of processes: its threads abort a process that ends before them."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def with_all_metrics(gathered: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each process's ``{task: {metric: values}}``, with an empty list for what it lacks, in place.

    >>> with_all_metrics([{"t": {"a": [1]}}, {"t": {"b": [2]}}])
    [{'t': {'a': [1], 'b': []}}, {'t': {'b': [2], 'a': []}}]
    """
    for task in gathered[0]:
        for key in dict.fromkeys(chain.from_iterable(one[task] for one in gathered)):
            for one in gathered:
                one[task].setdefault(key, [])
    return gathered
