"""``sst-mergekit demo``: the main job on really trained tiny models, offline."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
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
    already done under --out is not done again, so an interrupted demo can be continued. --json prints what
    report.json holds.
    """
    from sst_mergekit.experiments.demo import FULL, HALF, QUICK, Size, run
    from sst_mergekit.files import write_text
    from sst_mergekit.reporting.demo_picture import draw
    from sst_mergekit.reporting.demo_report import to_json, to_markdown
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
    _claim(out, flags)
    started = time.monotonic()
    count = workers or os.cpu_count() or 1
    results = run(out, range(seed, seed + seeds), size, count, output.progress(), ray)
    flags += " --family" * family + " --variants" * variants
    flags += f" --methods {methods}" if methods else ""
    about = {
        "command": f"sst-mergekit demo{flags} --seed {seed} --seeds {seeds}",
        "budget": size.tuning.budget,
        "seconds": round(time.monotonic() - started, 1),
        "versions": _versions(),
    }
    report = to_markdown(results, about)
    draw(results, out / "fronts.png")
    body = to_json(results, about)
    write_text(out / "report.json", json.dumps(body, indent=1) + "\n")
    write_text(out / "report.md", report)
    output.result(body, f"{report}\n{out}: report.md, report.json, fronts.png ({about['seconds']:.0f} s)")


def _compared(tuning: Tuning, family: bool, variants: bool, methods: str | None) -> Tuning:
    """Return the tuning with the methods that are compared; what others are held against is one of them."""
    from sst_mergekit.errors import SstError
    from sst_mergekit.experiments.demo import FULL
    from sst_mergekit.experiments.methods import EVERY
    from sst_mergekit.experiments.trials import TRAININGS
    from sst_mergekit.experiments.variants import VARIANTS
    from sst_mergekit.reporting.demo_report import BASELINE

    if family:
        names = (*(method.name for method in EVERY), *TRAININGS)
        tuning = dataclasses.replace(tuning, methods=names)
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


def _claim(out: Path, flags: str) -> None:
    """Refuse to continue a demo of one form as one of another."""
    from sst_mergekit.errors import SstError
    from sst_mergekit.files import write_text

    form = flags.strip() or "full"
    mark = out / "form.txt"
    if out.is_file():
        raise SstError(f"{out}: is a file; choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    if mark.is_file() and (found := mark.read_text(encoding="utf-8").strip()) != form:
        raise SstError(f"{out}: holds a demo of the form '{found}'; choose another --out or delete it")
    write_text(mark, form + "\n")


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("sst-mergekit", "torch", "transformers", "peft", "mergekit", "lm_eval")
    return {"python": sys.version.split()[0], **{name: version(name) for name in names}}
