"""``sst-mergekit tally``: one method against all others over the seeds of several demos."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from sst_mergekit.cli import output


@click.command("tally", cls=output.Command)
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--method", default="sst", show_default=True, help="The method to hold against the others.")
@click.option("--curve", type=click.Path(path_type=Path), help="Draw figures over calibration rows: a PNG.")
def command(folders: tuple[Path, ...], method: str, curve: Path | None) -> None:
    """Pair a method with every other by world and seed over the FOLDERS of demos, studies or experiments.

    Differences in hypervolume, and in utility at the safety target, have 95 % t-intervals and p values that
    are Holm-corrected over all comparisons of their column. --json prints [{name, hypervolume, p, utility,
    utility_p, tax, baseline_tax, cut}]. With --curve the demos are of several --calibration-rows, and each
    method's [hypervolume, tax] by them, {rows: [mean, margin]}, is shown and drawn.
    """
    from sst_mergekit.errors import SstError
    from sst_mergekit.experiments.names import own
    from sst_mergekit.reporting import curve as curves
    from sst_mergekit.reporting.tally import read, tally, to_markdown

    if curve and not curve.absolute().parent.is_dir():
        raise SstError(f"--curve {curve}: no such folder; make it first")
    units, method = read(folders), own(method)
    if curve is not None:
        found = curves.curves(units)
        curves.draw(found, curve)
        output.result(found, f"{curves.to_markdown(found)}\n{curve}")
        return
    lines = tally(units, method)
    value = [dataclasses.asdict(line) | {"cut": line.cut} for line in lines]
    output.result(value, to_markdown(units, lines, method))
