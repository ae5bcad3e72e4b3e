"""``sst-mergekit tally``: one method against all others over the seeds of several demos."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click


@click.command("tally")
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--method", default="sst", show_default=True, help="The method to hold against the others.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def command(folders: tuple[Path, ...], method: str, as_json: bool) -> None:
    """Pair a method with every other by world and seed over the FOLDERS of finished demos.

    Differences in hypervolume have 95 % t-intervals and p values that are Holm-corrected over all
    comparisons of the table.
    """
    from sst_mergekit.demo.tally import read, tally, to_markdown

    units = read(folders)
    lines = tally(units, method)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(line) | {"cut": line.cut} for line in lines], indent=1))
    else:
        click.echo(to_markdown(units, lines, method))
