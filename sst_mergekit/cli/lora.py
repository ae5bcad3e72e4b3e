"""``sst-mergekit lora``: merge LoRA adapters of one base into an adapter."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.cli.check import report
from sst_mergekit.files import expanded


@click.command("lora", cls=output.Command)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--rank",
    type=click.IntRange(min=1),
    help="Largest rank of a layer, by SVD.  [default: what the inputs' ranks add up to]",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, ...")
@click.option("--no-check", is_flag=True, help="Merge without checking the recipe first.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def command(recipe: Path, out: Path, rank: int | None, device: str, no_check: bool, force: bool) -> None:
    """Merge the adapters of RECIPE into one PEFT adapter in the directory OUT.

    RECIPE is as for the full merge, with 'model: base+adapter' entries and merge_method sst,
    task_arithmetic or linear. No base weights are read: the change is kept as low-rank factors, exactly
    where the method allows it, else with the share of its energy that is retained. --json prints {out, exact,
    retained, layers: [{module, rank, exact, full, kept}]}.
    """
    from sst_mergekit.adapters.inputs import require_method
    from sst_mergekit.adapters.merging import Options, merge_adapters
    from sst_mergekit.adapters.report import ENOUGH
    from sst_mergekit.recipe.check import check
    from sst_mergekit.recipe.explaining import explained
    from sst_mergekit.recipe.parse import load_recipe
    from sst_mergekit.statistics.loading import require_device

    require_device(device)
    read = load_recipe(recipe)
    require_method(read)
    if not no_check and report(check(read, to_adapter=True)):
        sys.exit(2)
    options = Options(rank, device, output.progress())
    with explained(lambda: check(read, to_adapter=True)):
        made = merge_adapters(read, expanded(out).absolute(), options, force)
    if lossy := made.lossy():
        more = f"{len(lossy)} of {len(made.layers)} layers keep less than {ENOUGH} of their energy"
        output.warn(f"{more}; raise --rank, or use the full merge")
    if made.coverage:
        output.note(made.coverage.summary())
        if warning := made.coverage.warning():
            output.warn(warning)
    value = {
        "out": out,
        "exact": made.exact,
        "retained": made.retained,
        "layers": made.layers,
        "coverage": made.coverage,
    }
    output.result(value, f"{out}: {made.summary()}")
