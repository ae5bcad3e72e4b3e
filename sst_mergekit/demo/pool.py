"""Running independent jobs in a few single-threaded processes, with one progress bar."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any


class Pool:
    """A pool of ``workers`` fresh processes with one thread each; use it as a context manager.

    What the workers print goes to the file ``log``; their exceptions come back to the caller. When
    the block ends by an exception (an interrupt, say) the workers are stopped at once.
    """

    def __init__(self, workers: int, log: Path, progress: bool = True) -> None:
        self.progress = progress
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_quiet_and_single, initargs=(str(log),)
        )

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            for worker in multiprocessing.active_children():
                worker.terminate()
        self._executor.shutdown(wait=True, cancel_futures=kind is not None)

    def map(self, label: str, function: Callable[..., Any], jobs: Sequence[tuple]) -> list[Any]:
        """Return ``function(*job)`` for each job, in order; the first failure ends the phase."""
        from tqdm import tqdm

        futures = [self._executor.submit(function, *job) for job in jobs]
        for future in tqdm(as_completed(futures), total=len(futures), desc=label, disable=not self.progress):
            future.result()
        return [future.result() for future in futures]


def _quiet_and_single(log: str) -> None:
    """Set up a worker: one thread, no Hub, and its bars and warnings into the log."""
    with open(log, "a", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        os.environ[name] = "1"
    import torch

    torch.set_num_threads(1)
