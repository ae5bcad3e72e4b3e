"""Makes units of work in a few processes, parents first, with bars, a log and measured times."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from sst_mergekit.jobs.store import BusyError, Store
from sst_mergekit.jobs.unit import Unit, with_parents

BUSY = "busy"


@dataclass(frozen=True)
class Done:
    """One phase of a run.

    Attributes:
        label: what for.
        made: units that it made, parents included.
        there: units wanted that were there already.
        seconds: how long it took.
    """

    label: str
    made: int
    there: int
    seconds: float


class Workers(Protocol):
    """What makes units: processes of this machine, or of a cluster."""

    def map(self, label: str, function: Callable[..., Any], jobs: Sequence[tuple]) -> list[Any]:
        """Return ``function(*job)`` for each job, in order."""
        ...


@dataclass
class Runner:
    """Makes units in the workers of `pool`, keeps them in `store`, and counts what was done."""

    store: Store
    pool: Workers
    phases: list[Done] = field(default_factory=list)

    def make(self, label: str, units: Sequence[Unit]) -> list[Path]:
        """Make what is missing of `units` and of all they need; return their results' paths.

        What another run is making meanwhile is left to it, and waited for when nothing else is to be made, so
        that runs which share a store share the work. Any failure ends the run; what was made before it is
        kept.
        """
        started = time.monotonic()
        wanted = {unit.key: unit for unit in units}
        missing = [unit for unit in wanted.values() if not self.store.has(unit)]
        made = 0
        for layer in with_parents(missing):
            jobs = [(self.store.root, unit) for unit in layer if not self.store.has(unit)]
            kinds = ", ".join(sorted({unit.kind for _, unit in jobs}))
            if jobs:
                seconds = self.pool.map(f"{label}: {kinds}", make_unit, jobs)
                busy = [(*job, True) for job, second in zip(jobs, seconds, strict=True) if second == BUSY]
                if busy:
                    seconds += self.pool.map(f"{label}: {kinds} of another run", make_unit, busy)
                made += sum(isinstance(second, float) for second in seconds)
        took = round(time.monotonic() - started, 2)
        self.phases.append(Done(label, made, len(wanted) - len(missing), took))
        return [self.store.path(unit) for unit in units]


def make_unit(root: Path, unit: Unit, wait: bool = False) -> float | str | None:
    """Make one unit in a worker, whose output goes to the run's log; ``BUSY`` where another process does."""
    try:
        seconds = Store(root).make(unit, wait)
    except BusyError:
        return BUSY
    outcome = "was made meanwhile by another process" if seconds is None else f"made in {seconds:.2f} s"
    print(f"{time.strftime('%F %T')} {unit.kind} {unit.name} ({unit.key}) {outcome}", flush=True)
    return seconds
