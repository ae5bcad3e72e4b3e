"""``sst-mergekit inspect``: what a recipe would keep of each patch."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.cli.check import report
from sst_mergekit.errors import SstError


@click.command("inspect", cls=output.Command)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--picture", type=click.Path(path_type=Path), help="A PNG to draw.")
@click.option("--no-check", is_flag=True, help="Inspect without checking the recipe first.")
def command(recipe: Path, picture: Path | None, no_check: bool) -> None:
    """Print what the merge of RECIPE would keep of each patch, weight by weight; nothing is merged.

    For every weight that a patched expert changes: the spectrum of relevance per cost, and how much of the
    patch's norm, of its benign cost and of its relevance the filter keeps. Warns where little is left, or
    where fewer samples were measured than the statistics have dimensions. One tensor is read at a time.
    --json prints {recipe, weights: [{expert, weight, kept: {norm, cost, relevance, spectrum} or null,
    warning}]}.
    """
    from tqdm import tqdm

    from sst_mergekit.inspection.layers import inspect
    from sst_mergekit.inspection.picture import draw
    from sst_mergekit.inspection.report import table, warnings
    from sst_mergekit.recipe.check import check
    from sst_mergekit.recipe.parse import load_recipe

    if picture and not picture.absolute().parent.is_dir():
        raise SstError(f"--picture {picture}: no such folder; make it first")
    read = load_recipe(recipe)
    if not no_check and report(check(read, to_adapter=True)):
        sys.exit(2)
    found = list(tqdm(inspect(read), unit="weight", disable=not output.progress(), desc="Inspecting"))
    for line in warnings(found):
        output.warn(line)
    if found and picture:
        draw(found, picture)
        output.note(f"{picture}: drawn")
    text = table(found) if found else "no patch: the experts are their base"
    output.result({"recipe": recipe, "weights": found}, text)
