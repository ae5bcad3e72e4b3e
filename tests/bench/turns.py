"""Several ways to do one thing, as fresh processes in turn: A B C, A B C, ...; noise meets them alike."""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import usage
from usage import Usage

QUANTITIES = ("cpu", "wall", "peak", "growth")


@dataclass(frozen=True)
class Side:
    """One of the ways.

    Attributes:
        command: what is run, say ``[sys.executable, "-c", code, ...]`` or ``[sys.executable, "-m", ...]``.
        fresh: files and folders that it writes, removed before each run.
        env: more environment variables.
    """

    command: Sequence[str | Path]
    fresh: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


Runs = Mapping[str, Sequence[Usage]]  # name of a side -> what each run used, in order


def in_turn(sides: Mapping[str, Side], runs: int = 5, threads: int = 1) -> Runs:
    """Return what every side used in each of its runs; run number i of all sides is a pair.

    Raises:
        RuntimeError: a command failed.
    """
    found: dict[str, list[Usage]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            remove(side.fresh)
            found[name].append(usage.of(side.command, threads=threads, env=side.env))
            remove(side.fresh)
    return found


def ratios(runs: Runs, of: str, to: str, quantity: str = "cpu") -> list[float]:
    """Return the ratio of each pair of runs, of one side's cpu, wall, peak or growth to another's."""
    pairs = zip(runs[of], runs[to], strict=True)
    return [getattr(a, quantity) / getattr(b, quantity) for a, b in pairs]


def median(used: Sequence[Usage], quantity: str) -> float:
    """Return the median of one quantity over a side's runs."""
    return statistics.median(getattr(each, quantity) for each in used)


def remove(paths: tuple[Path, ...]) -> None:
    """Remove files and folders that are there."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
