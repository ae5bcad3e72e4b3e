"""``sst-mergekit yaml``: check a recipe, then run mergekit's own mergekit-yaml on it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from sst_mergekit.cli.check import report

if TYPE_CHECKING:
    from sst_mergekit.recipe.fault import Fault


@click.command(
    "yaml",
    options_metavar="[--no-check] [--force]",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
)
@click.option("--no-check", is_flag=True, help="Merge without checking the recipe first.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="RECIPE OUT [MERGEKIT OPTIONS]...")
def command(no_check: bool, force: bool, arguments: tuple[str, ...]) -> None:
    """Check RECIPE, then merge it into the directory OUT with mergekit.

    Every other option goes to mergekit as it is: 'mergekit-yaml --help' describes them
    (--cuda, --lora-merge-cache DIR, --lora-merge-dtype float32, ...). OUT appears when the merge
    is complete, and not at all when it fails. Without --lora-merge-cache, adapters are folded into
    full models in a temporary directory beside OUT.
    """
    from sst_mergekit.merging.run import merge

    merge(*arguments, force=force, on_faults=None if no_check else _report)


def _report(faults: list[Fault]) -> None:
    if report(faults):
        sys.exit(2)
