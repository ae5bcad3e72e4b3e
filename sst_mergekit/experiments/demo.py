"""The demo: the comparison on tiny worlds that are trained for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sst_mergekit.experiments.comparing import compared
from sst_mergekit.experiments.methods import METHODS
from sst_mergekit.experiments.results import SeedResult
from sst_mergekit.experiments.trials import TRAININGS, Tuning
from sst_mergekit.jobs.cluster import workers
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.store import Store
from sst_mergekit.testbeds.tiny.testbed import TinyWorld
from sst_mergekit.testbeds.tiny.world import FULL as FULL_WORLD
from sst_mergekit.testbeds.tiny.world import QUICK as QUICK_WORLD
from sst_mergekit.testbeds.tiny.world import WorldSize

SHOWN = ("data", "base", "utility", "safety")  # units that a seed's folder has links to


@dataclass(frozen=True)
class Size:
    """How much is trained and asked, calibration conversations per statistic, and what is tried."""

    world: WorldSize
    samples: int
    tuning: Tuning


FULL = Size(FULL_WORLD, 256, Tuning(16, (60, 120, 240, 360), (1e-3, 2e-3, 4e-3, 8e-3)))
HALF = replace(FULL, tuning=replace(FULL.tuning, budget=8, rates=(2e-3, 4e-3)))  # for many seeds or methods
_WITHOUT_REFIT = (*(method.name for method in METHODS if method.name != "sst_refit"), *TRAININGS)
QUICK = Size(QUICK_WORLD, 128, Tuning(8, (20, 40, 60, 100), (2e-3, 4e-3), _WITHOUT_REFIT))


def run(
    out: Path, seeds: Sequence[int], size: Size, count: int, progress: bool = True, ray: str | None = None
) -> list[SeedResult]:
    """Return each seed's result; what was made before under ``out`` is not made again.

    Args:
        out: folder of the demo: ``units``, and a folder a seed with links to its data and experts.
        seeds: seeds of data, training and everything random.
        size: ``FULL``, ``HALF`` or ``QUICK``.
        count: processes, one thread each.
        progress: show a bar for each phase.
        ray: address of a Ray cluster that does the work, or None.
    """
    beds = [TinyWorld(seed, size.world, size.samples) for seed in seeds]
    out.mkdir(parents=True, exist_ok=True)
    with workers(ray, count, out / "log.txt", progress) as pool:
        runner = Runner(Store(out / "units"), pool)
        results = compared(beds, size.tuning, runner)
    for bed in beds:
        folder = out / f"seed-{bed.seed}"
        folder.mkdir(exist_ok=True)
        for name in SHOWN:
            link, place = folder / name, runner.store.path(bed.unit(name))
            if not link.is_symlink():
                link.symlink_to(Path("..") / place.relative_to(out))
    return results
