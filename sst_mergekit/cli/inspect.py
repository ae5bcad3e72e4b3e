"""``sst-mergekit inspect``: what a recipe would keep of each patch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sst_mergekit.cli import output
from sst_mergekit.cli.check import report
from sst_mergekit.errors import SstError
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.settings import DTYPES, ModelSpec

if TYPE_CHECKING:
    from sst_mergekit.inspection.measured import Judged
    from sst_mergekit.recipe.parse import Recipe

positive = click.IntRange(min=1)
DATA = "Benign rows, held out: tests prices against divergences; models are loaded. Once or more often."
HARM = "Harm rows, held out, to test what filters take away. Once or more often."


@click.command("inspect", cls=output.Command)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--picture", type=click.Path(path_type=Path), help="A PNG to draw.")
@click.option("--data", multiple=True, help=DATA)
@click.option("--harm", multiple=True, help=HARM)
@click.option("--samples", type=positive, default=128, show_default=True, help="Rows of --data, of --harm.")
@click.option("--max-length", type=positive, default=1024, show_default=True, help="Tokens of a sequence.")
@click.option("--batch-size", type=positive, default=16, show_default=True)
@click.option("--dtype", type=click.Choice(DTYPES), default=ModelSpec.dtype, show_default=True)
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda if there is one]")
@click.option("--no-check", is_flag=True, help="Inspect without checking the recipe first.")
def command(
    recipe: Path,
    picture: Path | None,
    data: tuple[str, ...],
    harm: tuple[str, ...],
    samples: int,
    max_length: int,
    batch_size: int,
    dtype: str,
    device: str | None,
    no_check: bool,
) -> None:
    """Print what the merge of RECIPE would keep of each patch, weight by weight; nothing is merged.

    For every weight that a patched expert changes: the spectrum of relevance per cost, and how much of the
    patch's norm, of its benign cost and of its relevance the filter keeps. Warns where little is left, or
    where fewer samples were measured than the statistics have dimensions. One tensor is read at a time.

    With --data the statistics are tested: prices of many patches (the whole one, single layers, random ones,
    filtered ones) against the divergence of the utility expert that each causes on those rows. With --harm
    also what taking parts of its patch away does to the safety expert. For this one utility and one safety
    expert are loaded and run, and their patch is held in memory.

    --json prints {recipe, weights: [{expert, weight, kept: {norm, cost, relevance, spectrum} or null,
    warning}], truth: {benign, harm: {agreement: {spearman, pearson, bias, n}, prompts, shared, probes:
    [{name, foretold, measured}]}} or null}.
    """
    from tqdm import tqdm

    from sst_mergekit.inspection.layers import inspect
    from sst_mergekit.inspection.picture import draw
    from sst_mergekit.inspection.report import shared, table, truth, warnings
    from sst_mergekit.recipe.check import check
    from sst_mergekit.recipe.parse import load_recipe

    if picture and not picture.absolute().parent.is_dir():
        raise SstError(f"--picture {picture}: no such folder; make it first")
    if harm and not data:
        raise SstError("--harm: goes with --data, benign rows; give both")
    read = load_recipe(recipe)
    if not no_check and report(check(read, to_adapter=True)):
        sys.exit(2)
    found = list(tqdm(inspect(read), unit="weight", disable=not output.progress(), desc="Inspecting"))
    for line in warnings(found):
        output.warn(line)
    judged = None
    if found and data:
        judged = _measured(read, data, harm, samples, max_length, batch_size, device, dtype)
        for line in shared(judged):
            output.warn(line)
    if found and picture:
        draw(found, picture, judged)
        output.note(f"{picture}: drawn")
    text = table(found) if found else "no patch: the experts are their base"
    text += truth(judged) if judged else ""
    output.result({"recipe": recipe, "weights": found, "truth": judged}, text)


def _measured(
    recipe: Recipe, data: tuple[str, ...], harm: tuple[str, ...], *numbers: Any
) -> dict[str, Judged]:
    from sst_mergekit.inspection.measured import Options, measure
    from sst_mergekit.statistics.loading import default_device

    samples, max_length, batch_size, device, dtype = numbers
    options = Options(samples, max_length, batch_size, device or default_device(), dtype, output.progress())
    return measure(recipe, [Source(each) for each in data], [Source(each) for each in harm], options)
