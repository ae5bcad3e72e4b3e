"""Running independent jobs in a few single-threaded processes, with one progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError

_TERMINATED = 128 + signal.SIGTERM
_GRACE = 3.0  # seconds to remove temporary files when the parent is gone


class Pool:
    """A pool of ``workers`` fresh processes, each with a few threads; use it as a context manager.

    What the workers print goes to the file ``log``; their exceptions come back to the caller. When
    the block ends by an exception (an interrupt, say) or this process is killed, the workers drop their jobs,
    whose temporary files they remove, and end.
    """

    def __init__(
        self, workers: int, log: Path, progress: bool = True, threads: int = 1, offline: bool = True
    ) -> None:
        self.progress = progress
        context = multiprocessing.get_context("spawn")
        self._executor = ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start, initargs=(str(log), threads, offline)
        )

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is not None:
            for worker in multiprocessing.active_children():
                worker.terminate()
        self._executor.shutdown(wait=True, cancel_futures=kind is not None)

    def map(self, label: str, function: Callable[..., Any], jobs: Sequence[tuple]) -> list[Any]:
        """Return ``function(*job)`` for each job, in order; the first failure ends the phase.

        Raises:
            SstError: a worker was killed.
        """
        from tqdm import tqdm

        try:
            futures = [self._executor.submit(_do, function, *job) for job in jobs]
            bar = tqdm(as_completed(futures), total=len(futures), desc=label, disable=not self.progress)
            for future in bar:
                future.result()
        except BrokenProcessPool:
            raise SstError(
                f"{label}: a worker process was killed (by a lack of memory?); run the same command again, "
                "perhaps with fewer --workers: what was made is kept"
            ) from None
        return [future.result() for future in futures]


class _Ended(SystemExit):
    """The worker is to end."""


def _start(log: str, threads: int, offline: bool) -> None:
    """Set up a worker of this machine, which ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the parent ends its workers
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    settle(log, threads, offline)


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise _Ended(_TERMINATED)


def _do(function: Callable[..., Any], *job: Any) -> Any:
    """Return ``function(*job)``; where the worker is told to end meanwhile, never return."""
    try:
        return function(*job)
    except _Ended:  # what the job had begun is removed by now; the executor would go on with the next one
        os._exit(_TERMINATED)


def settle(log: str, threads: int = 1, offline: bool = True) -> None:
    """Set up a worker: its threads, no Hub if it is to be offline, its bars and warnings into the log."""
    with open(log, "a", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE") if offline else ():
        os.environ[name] = "1"
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read by torch when it is imported
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE)
        os._exit(_TERMINATED)
