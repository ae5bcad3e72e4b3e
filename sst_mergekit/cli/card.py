"""``sst-mergekit card``: complete the card of a merge, an adapter or statistics."""

from __future__ import annotations

from pathlib import Path

import click

from sst_mergekit.cli import output

FOLDER = click.Path(path_type=Path)


@click.command("card", cls=output.Command)
@click.argument("out", type=FOLDER)
@click.option(
    "--results",
    multiple=True,
    type=FOLDER,
    help="Folder of `lm_eval --output_path`, or a results_*.json of it (repeatable).",
)
@click.option(
    "--recipe", type=FOLDER, help="The recipe OUT was merged by.  [default: OUT/mergekit_config.yml]"
)
def command(out: Path, results: tuple[Path, ...], recipe: Path | None) -> None:
    """Complete README.md in OUT, a merged model or adapter; all that is written there already stays.

    Added are base models, adapters and statistics with their hashes, the recipe, a warning where licences
    differ or are unknown, intended use and limits, and what was measured with intervals: as a table, as
    metadata (model-index), and in .eval_results/ for the Hub's leaderboards. Run it where the recipe's
    paths hold. A second run replaces what the first one added. In a directory of statistics their own
    card is written. --json prints {card, kind, sources, figures, leaderboards}.
    """
    from sst_mergekit.errors import SharingError
    from sst_mergekit.files import write_text
    from sst_mergekit.sharing.kinds import STATISTICS, kind_of

    kind = kind_of(out)
    if kind == STATISTICS:
        from sst_mergekit.sharing.statistics_card import statistics_card

        if results or recipe:
            raise SharingError(f"{out}: holds statistics, whose card needs no --results and no --recipe")
        write_text(out / "README.md", statistics_card(out, out.resolve().name))
        value = {"card": out / "README.md", "kind": kind, "sources": 0, "figures": 0, "leaderboards": []}
        output.result(value, f"{out / 'README.md'}: card of statistics")
        return
    _describe(out, kind, results, recipe)


def _describe(out: Path, kind: str, results: tuple[Path, ...], recipe: Path | None) -> None:
    from sst_mergekit.files import write_text
    from sst_mergekit.sharing.measured import figures
    from sst_mergekit.sharing.model_card import model_card, read_merge
    from sst_mergekit.sharing.results import benchmark_files
    from sst_mergekit.sharing.writing import replace_benchmark_files

    measured = figures(results)
    merge = read_merge(out, kind, recipe)
    text = model_card(merge, measured)
    for scored in sorted(
        {figure.model for figure in measured if Path(figure.model).name != out.resolve().name}
    ):
        output.warn(f"the results are of '{scored}', which is not called like {out}")
    boards = benchmark_files(measured)
    replace_benchmark_files(out, boards)
    write_text(out / "README.md", text)
    lines = [f"{out / 'README.md'}: {len(merge.parts)} sources, {len(measured)} figures"]
    lines += [f"{out / name}: for the Hub's leaderboard" for name in boards]
    value = {"card": out / "README.md", "kind": kind, "sources": len(merge.parts), "figures": len(measured)}
    output.result(value | {"leaderboards": [out / name for name in boards]}, "\n".join(lines))
