"""The slots of a Ray cluster as a pool: one CPU or GPU a unit of work, made again where a worker dies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.jobs.pool import Pool, settle

RETRIES = 3  # of a job whose worker or machine dies


class Cluster:
    """A pool like ``pool.Pool`` on a running Ray cluster; use it as a context manager.

    Every machine must see the same files under the same paths (a shared folder), and have this package.
    A job takes a GPU where the cluster has any, else a CPU; its processes have one thread each. A job whose
    worker dies is done again, three times at most; its own exceptions come back to the caller at once.
    """

    def __init__(self, address: str, log: Path, progress: bool = True, offline: bool = True) -> None:
        try:
            import ray
        except ImportError:
            raise SstError("--ray: needs Ray; pip install 'sst-mergekit[ray]'") from None
        self.progress = progress
        self._settled = str(log), offline
        try:
            ray.init(
                address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise SstError(
                f"--ray {address}: no cluster ({reason}); start one with 'ray start --head'"
            ) from None
        slot = {"num_gpus": 1} if ray.cluster_resources().get("GPU", 0) >= 1 else {"num_cpus": 1}
        self._job = ray.remote(_done).options(max_retries=RETRIES, **slot)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()  # ends the jobs of this driver

    def map(self, label: str, function: Callable[..., Any], jobs: Sequence[tuple]) -> list[Any]:
        """Return ``function(*job)`` for each job, in order; the first failure ends the phase.

        Raises:
            SstError: a job's workers died too often.
        """
        import ray
        from ray.exceptions import RayError, RayTaskError
        from tqdm import tqdm

        asked = [self._job.remote(self._settled, function, job) for job in jobs]
        left = list(asked)
        try:
            with tqdm(total=len(asked), desc=label, disable=not self.progress) as bar:
                while left:
                    [done], left = ray.wait(left)
                    ray.get(done)
                    bar.update()
        except RayTaskError as error:  # the job's own
            raise error.cause from None
        except RayError as error:
            raise SstError(
                f"{label}: a job's worker died {RETRIES + 1} times, or a machine is lost "
                f"({type(error).__name__}; by a lack of memory?); run the same command again: what was made "
                "is kept"
            ) from None
        return ray.get(asked)


def _done(settled: tuple[str, bool], function: Callable[..., Any], job: tuple) -> Any:
    """Do a job in a worker of the cluster."""
    log, offline = settled
    settle(log, offline=offline)
    return function(*job)


def workers(
    address: str | None, count: int, log: Path, progress: bool, *, threads: int = 1, offline: bool = True
) -> Pool | Cluster:
    """Return where units of work are made: in the slots of a Ray cluster, or in processes of this machine.

    Args:
        address: of the cluster, ``auto`` for the one that runs here, or None.
        count: processes, where there is no cluster.
        log: what the workers print goes there.
        progress: show a bar for each phase.
        threads: of each process, where there is no cluster.
        offline: whether the workers leave the Hub alone.
    """
    if address is not None:
        return Cluster(address, log, progress, offline)
    return Pool(count, log, progress, threads, offline)
