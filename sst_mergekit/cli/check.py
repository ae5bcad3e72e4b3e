"""``sst-mergekit check``: find faults in a merge recipe before merging."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.recipe.fault import Fault


def report(faults: list[Fault]) -> bool:
    """Return whether the merge must not run, after one line a fault on stderr."""
    for fault in faults:
        (output.warn if fault.warning else output.fail)(str(fault))
    return any(not fault.warning for fault in faults)


@click.command("check", cls=output.Command)
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--lora-merge-cache", type=click.Path(path_type=Path), help="As given to mergekit.")
@click.option("--lora-merge-dtype", help="As given to mergekit.")
def command(recipe: Path, lora_merge_cache: Path | None, lora_merge_dtype: str | None) -> None:
    """Find what mergekit would ignore, or report late or badly, in RECIPE; no weights are loaded.

    One line a fault on stderr and exit code 2; warnings alone leave it 0. Any merge method is checked;
    merge_method sst also against the statistics it names. --json prints {recipe, ok, faults: [{where, what,
    warning}]}.
    """
    from sst_mergekit.recipe.check import check_recipe

    faults = check_recipe(recipe, lora_merge_cache, lora_merge_dtype)
    stops = report(faults)
    output.result({"recipe": recipe, "ok": not stops, "faults": faults}, "" if stops else f"{recipe}: OK")
    if stops:
        sys.exit(2)
