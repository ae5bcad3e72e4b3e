"""``sst-mergekit init``: a commented recipe, ready for ``sst-mergekit check``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from sst_mergekit.cli import output
from sst_mergekit.core.settings import FILTERS, STRENGTH
from sst_mergekit.recipe.draft import METHODS, SST, Draft, to_text

amount = click.FloatRange(min=0)
EXPERT = "a model, base+adapter, or an adapter's folder (repeatable)."


@click.command("init", cls=output.Command)
@click.option("--base", required=True, help="Hub id or path of the base model of all experts.")
@click.option("--utility", multiple=True, required=True, help=f"Skilled expert: {EXPERT}")
@click.option("--safety", multiple=True, required=True, help=f"Safety expert: {EXPERT}")
@click.option("--fisher-utility", multiple=True, help="Statistics of each --utility, in the same order.")
@click.option("--fisher-safety", multiple=True, help="Statistics of each --safety, in the same order.")
@click.option("--method", type=click.Choice(list(METHODS)), default=SST, show_default=True)
@click.option(
    "--filter", "filter_name", type=click.Choice(FILTERS), help="sst: the weight on each direction."
)
@click.option("--strength", type=amount, default=STRENGTH, show_default=True, help="Of the safety patch.")
@click.option("--cost", type=amount, help="sst: price of benign damage.")
@click.option(
    "--density",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share kept: by --filter hard of directions, by ties and dare_ties of entries.",
)
@click.option(
    "--out-dtype",
    type=click.Choice(["bfloat16", "float16", "float32"]),
    default=Draft.out_dtype,
    show_default=True,
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("recipe.yml"), show_default=True)
@click.option("--force", is_flag=True, help="Replace --out if it exists.")
def command(
    base: str,
    utility: tuple[str, ...],
    safety: tuple[str, ...],
    fisher_utility: tuple[str, ...],
    fisher_safety: tuple[str, ...],
    method: str,
    filter_name: str | None,
    strength: float,
    cost: float | None,
    density: float | None,
    out_dtype: str,
    out: Path,
    force: bool,
) -> None:
    """Write a commented recipe of these models and statistics, ready for 'sst-mergekit check'.

    The folder of an adapter becomes 'base+folder'; on the Hub write that yourself. The geometry is that of
    the statistics, where they are here. Recipes of more methods: merge_configs/. --json prints {out, method,
    models}.
    """
    from sst_mergekit.errors import SstError
    from sst_mergekit.files import write_text

    if out.is_dir() or (out.exists() and not force):
        raise SstError(f"{out}: exists; choose another --out, or give --force to replace it")
    draft = Draft(
        base,
        utility,
        safety,
        fisher_utility,
        fisher_safety,
        method,
        filter_name,
        strength,
        cost,
        density,
        out_dtype,
    )
    text = to_text(draft, shlex.join(["sst-mergekit", *sys.argv[1:]]), str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, text)
    output.note(f"next: sst-mergekit check {shlex.quote(str(out))}")
    output.result({"out": out, "method": method, "models": [*utility, *safety]}, f"{out}: {method}")
