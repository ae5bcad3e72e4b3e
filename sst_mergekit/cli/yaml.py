"""``sst-mergekit yaml``: check a recipe, then run mergekit's own mergekit-yaml on it."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import sst_mergekit
from sst_mergekit.cli.check import report
from sst_mergekit.cli.lora_cache import lora_cache
from sst_mergekit.files import new_directory
from sst_mergekit.recipe.check import check_recipe


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
    sst_mergekit.register()
    from mergekit.scripts.run_yaml import main

    with main.make_context("sst-mergekit yaml", list(arguments)) as context:
        given = context.params
        out = Path(given["out_path"]).expanduser().absolute()
        if not no_check and report(_check(given, out)):
            sys.exit(2)
        with new_directory(out, force) as temporary, lora_cache(given["lora_merge_cache"], out) as cache:
            given |= {"lora_merge_cache": cache, "out_path": str(temporary)}
            main.invoke(context)
            _name_card(temporary, out.name)


def _check(given: dict, out: Path) -> list:
    """Return the recipe's faults; a cache that was not given will be a new one beside OUT."""
    cache = given["lora_merge_cache"] or out.with_name(f".{out.name}.lora-cache")
    return check_recipe(given["config_file"], Path(cache), given["lora_merge_dtype"])


def _name_card(directory: Path, name: str) -> None:
    """Write OUT's name into the model card, which mergekit titled after the temporary directory."""
    card = directory / "README.md"
    if card.is_file():
        text = card.read_text(encoding="utf-8").replace(f"# {directory.name}\n", f"# {name}\n", 1)
        card.write_text(text, encoding="utf-8")
