"""Begins again with half the batch where the accelerator's memory is full.

Needed because lm-eval would end the run, maybe at one of many models, and its ``auto`` looks for a batch anew
for each model, by trials.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable
from typing import TypeVar

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


def halving(attempt: Callable[[int | None], _Result], size: int | None) -> _Result:
    """Return what `attempt` gives with a batch of `size`, or else with half of it, down to one.

    lm-eval sorts by length, longest first, so memory runs out at the start of a kind of requests. No batch
    is halved where `size` is None, as for ``auto``, or where several processes would have to agree on it.
    """
    import torch

    while True:
        try:
            return attempt(size)
        except torch.OutOfMemoryError:
            if size is None or size <= 1 or os.environ.get("WORLD_SIZE", "1") != "1":
                raise
        gc.collect()
        torch.cuda.empty_cache()
        _log.warning("out of memory with a batch of %d; going on with %d", size, size // 2)
        size //= 2
