"""``sst-mergekit demo``: the main job on really trained tiny models, offline."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sst_mergekit.cli import output

if TYPE_CHECKING:
    from sst_mergekit.experiments.trials import Tuning


@click.command("demo", cls=output.Command)
@click.option("--out", type=click.Path(path_type=Path), default=Path("sst-demo"), show_default=True)
@click.option("--quick", is_flag=True, help="Smaller world and grid: under 3 minutes on two cores.")
@click.option("--drift", is_flag=True, help="Restore an aligned model that its fine-tuning made unsafe.")
@click.option("--half-budget", is_flag=True, help="8 settings a method, not 16: for many seeds.")
@click.option("--methods", help="Only these besides Task Arithmetic, as NAME,NAME: of report.json.")
@click.option("--family", is_flag=True, help="Also every other geometry, filter and baseline; takes long.")
@click.option("--variants", is_flag=True, help="Also SST's default varied: cost, damping, sites, samples.")
@click.option(
    "--calibration-rows",
    type=click.IntRange(min=2),
    help="Rows of either kind, for all that uses them.",
)
@click.option(
    "--hold-out-harm",
    type=click.IntRange(0, 10),
    default=0,
    help="Of 11 categories that the safety expert knows, so many have no calibration rows.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The first seed.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How many seeds.")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes.  [default: CPU cores]")
@click.option("--ray", metavar="auto|ADDRESS", help="Make the units on a Ray cluster, one slot each.")
def command(
    out: Path,
    quick: bool,
    drift: bool,
    half_budget: bool,
    methods: str | None,
    family: bool,
    variants: bool,
    calibration_rows: int | None,
    hold_out_harm: int,
    seed: int,
    seeds: int,
    workers: int | None,
    ray: str | None,
) -> None:
    """Train tiny experts, measure, merge by every method, score, and report.

    Needs no network. Runs the tiny models' own programs in the sandboxed executor. What is
    already done under --out is not done again, so an interrupted demo can be continued. The out folder gets
    results.json, report.html, report.md and fronts.png; --json prints results.json.
    """
    from sst_mergekit.experiments.demo import FULL, HALF, QUICK, Size, run
    from sst_mergekit.reporting.write import write
    from sst_mergekit.testbeds.tiny.world import drifted

    size = QUICK if quick else HALF if half_budget else FULL
    world = dataclasses.replace(drifted(size.world) if drift else size.world, held_out=hold_out_harm)
    if calibration_rows is not None:
        world = dataclasses.replace(world, calibration_rows=calibration_rows)
    size = Size(world, calibration_rows or size.samples, _compared(size.tuning, family, variants, methods))
    out = out.absolute()
    flags = " --quick" * quick + " --drift" * drift + " --half-budget" * half_budget
    flags += f" --calibration-rows {calibration_rows}" if calibration_rows is not None else ""
    flags += f" --hold-out-harm {hold_out_harm}" if hold_out_harm else ""
    form = flags.strip() or "full"
    flags += " --family" * family + " --variants" * variants
    flags += f" --methods {methods}" if methods else ""
    body = run(
        out,
        range(seed, seed + seeds),
        size,
        workers or os.cpu_count() or 1,
        output.progress(),
        ray,
        f"sst-mergekit demo{flags} --seed {seed} --seeds {seeds}",
        form,
    )
    _, text = write(out)
    output.result(body, f"{text}\n{out}: results.json, report.html, report.md, fronts.png")


def _compared(tuning: Tuning, family: bool, variants: bool, methods: str | None) -> Tuning:
    """Return the tuning with the methods that are compared; what others are held against is one of them."""
    from sst_mergekit.errors import SstError
    from sst_mergekit.experiments.demo import FULL
    from sst_mergekit.experiments.names import BASELINE, KNOWN
    from sst_mergekit.experiments.variants import VARIANTS

    if family:
        tuning = dataclasses.replace(tuning, methods=KNOWN)
    if variants:
        names = (*tuning.methods, *(method.name for method in VARIANTS))
        tuning = dataclasses.replace(tuning, methods=names)
    if methods is None:
        return tuning
    known = tuple(dict.fromkeys((*FULL.tuning.methods, *tuning.methods)))  # the quick form leaves one out
    asked = [name.strip() for name in methods.split(",")]
    for name in asked:
        if name not in known:
            raise SstError(f"--methods: no method '{name}' here; there are {', '.join(known)}")
    return dataclasses.replace(tuning, methods=tuple(n for n in known if n == BASELINE or n in asked))
