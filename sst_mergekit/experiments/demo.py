"""The demo: the comparison on tiny worlds that are trained for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.experiments import baselines, names, targets
from sst_mergekit.experiments.comparing import compared
from sst_mergekit.experiments.methods import METHODS
from sst_mergekit.experiments.trials import TRAININGS, Tuning
from sst_mergekit.experiments.writing import write_results
from sst_mergekit.files import write_text
from sst_mergekit.jobs.cluster import workers
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.store import Store
from sst_mergekit.testbeds.options import TINY_WORLD
from sst_mergekit.testbeds.tiny.testbed import TinyWorld
from sst_mergekit.testbeds.tiny.world import FULL as FULL_WORLD
from sst_mergekit.testbeds.tiny.world import QUICK as QUICK_WORLD
from sst_mergekit.testbeds.tiny.world import WorldSize

FORM = "form.txt"  # which form the demo in a folder has
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


def world_of(command: str) -> str:
    """Return the name of the world that a demo's command makes.

    >>> world_of("sst-mergekit demo --quick --drift --hold-out-harm 3 --seed 0")
    'quick drifted world (hold-out-harm 3)'
    """
    name = "drifted world" if "--drift" in command else "first world"
    number = re.findall(r"--(calibration-rows|hold-out-harm) (\d+)", command)
    return " ".join(["quick " * ("--quick" in command) + name, *(f"({what} {n})" for what, n in number)])


def claim(out: Path, form: str) -> Path:
    """Refuse to continue a demo of one form as one of another; return the file that says which it is."""
    mark = out / FORM
    if out.is_file():
        raise SstError(f"{out}: is a file; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    if mark.is_file() and (found := mark.read_text(encoding="utf-8").strip()) != form:
        raise SstError(f"{out}: holds a demo of the form '{found}'; choose another --out or delete it")
    write_text(mark, form + "\n")
    return mark


def run(
    out: Path,
    seeds: Sequence[int],
    size: Size,
    count: int,
    progress: bool = True,
    ray: str | None = None,
    command: str = "sst-mergekit demo",
    form: str = "full",
) -> dict[str, Any]:
    """Return what results.json holds; what was made before under ``out`` is not made again.

    Args:
        out: folder of the demo: ``units``, and a folder a seed with links to its data and experts.
        seeds: seeds of data, training and everything random.
        size: ``FULL``, ``HALF`` or ``QUICK``.
        count: processes, one thread each.
        progress: show a bar for each phase.
        ray: address of a Ray cluster that does the work, or None.
        command: as it can be given again.
        form: what shapes the world; a folder has one.
    """
    page = claim(out, form)
    beds = [TinyWorld(seed, size.world, size.samples) for seed in seeds]
    with workers(ray, count, out / "log.txt", progress) as pool:
        runner = Runner(Store(out / "units"), pool)
        results = compared(beds, size.tuning, runner)
        about = {
            "experiment": "demo",
            "model": TINY_WORLD,
            "full_name": TINY_WORLD,
            "mode": world_of(command),
        }
        about |= {"seeds": list(seeds), "budget": size.tuning.budget, "command": command}
        body = baselines.body(beds, results, about)
        baseline = [row for row in body["results"] if row["method"] == names.long(names.BASELINE)]
        body["targets"] += targets.conflict(baseline)
        write_results(out, body, beds, runner, page)
    for bed in beds:
        folder = out / f"seed-{bed.seed}"
        folder.mkdir(exist_ok=True)
        for name in SHOWN:
            link, place = folder / name, runner.store.path(bed.unit(name))
            if not link.is_symlink():
                link.symlink_to(Path("..") / place.relative_to(out))
    return body
