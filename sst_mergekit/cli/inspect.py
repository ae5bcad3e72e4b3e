"""``sst-mergekit inspect``: what a recipe would keep of each patch."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tqdm import tqdm

from sst_mergekit.cli.check import report
from sst_mergekit.inspection.layers import inspect
from sst_mergekit.inspection.picture import draw
from sst_mergekit.inspection.report import table, warnings
from sst_mergekit.recipe.check import check
from sst_mergekit.recipe.parse import load_recipe


@click.command("inspect")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--picture", type=click.Path(path_type=Path), help="A PNG to draw.")
@click.option("--no-check", is_flag=True, help="Inspect without checking the recipe first.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def command(recipe: Path, picture: Path | None, no_check: bool, quiet: bool) -> None:
    """Print what the merge of RECIPE would keep of each patch, weight by weight; nothing is merged.

    For every weight that a patched expert changes: the spectrum of relevance per cost, and how much of the
    patch's norm, of its benign cost and of its relevance the filter keeps. Warns where little is left, or
    where fewer samples were measured than the statistics have dimensions. One tensor is read at a time.
    """
    read = load_recipe(recipe)
    if not no_check and report(check(read, to_adapter=True)):
        sys.exit(2)
    found = list(tqdm(inspect(read), unit="weight", disable=quiet, desc="Inspecting"))
    if not found:
        click.echo("no patch: the experts are their base")
        return
    click.echo(table(found))
    for line in warnings(found):
        click.echo(f"warning: {line}", err=True)
    if picture:
        draw(found, picture)
        click.echo(f"{picture}: drawn")
