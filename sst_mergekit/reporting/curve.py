"""What calibration rows are worth: each method's hypervolume and tax over how many there were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.errors import DataError
from sst_mergekit.experiments.names import LABELS
from sst_mergekit.metrics import text
from sst_mergekit.metrics.estimate import t_interval
from sst_mergekit.reporting import lines_picture
from sst_mergekit.reporting.tally import Unit

Curve = dict[int, tuple[float, float | None]]  # rows -> mean over seeds, half-width of its interval
Curves = dict[str, tuple[Curve, Curve]]  # of each method: hypervolume and tax


def curves(units: Sequence[Unit]) -> Curves:
    """Return each method's hypervolume and tax by the number of calibration rows.

    Raises:
        DataError: fewer than two numbers of rows, or not the same seeds of each.
    """
    seeds = {rows: sorted(u.seed for u in units if u.rows == rows) for rows in {u.rows for u in units}}
    if len(seeds) < 2 or None in seeds:
        raise DataError("--curve: give folders of `demo --calibration-rows N` with two numbers N or more")
    if len({tuple(each) for each in seeds.values()}) > 1:
        raise DataError(f"--curve: not the same seeds for each number of rows, but {seeds}")
    order = sorted(rows for rows in seeds if rows is not None)

    def curve(name: str, metric: str) -> Curve:
        of = {rows: [unit.figures[name][metric] for unit in units if unit.rows == rows] for rows in order}
        known = {rows: [value for value in each if value is not None] for rows, each in of.items()}
        return {rows: t_interval(each) for rows, each in known.items() if each}

    shared = set.intersection(*(set(unit.figures) for unit in units))
    return {
        name: (curve(name, "hypervolume"), curve(name, "safety_tax")) for name in LABELS if name in shared
    }


def to_markdown(found: Curves) -> str:
    """Return the hypervolumes, and in brackets the taxes, as a table."""
    lines = [[LABELS[name], *(_cell(*of, rows) for rows in numbers(found))] for name, of in found.items()]
    return text.table(("hypervolume (tax)", *(f"{rows} rows" for rows in numbers(found))), lines)


def numbers(found: Curves) -> list[int]:
    """Return the numbers of rows, rising."""
    return sorted({rows for areas, _ in found.values() for rows in areas})


def _cell(areas: Curve, taxes: Curve, rows: int) -> str:
    tax = f"{taxes[rows][0]:.3f}" if rows in taxes else "null"
    return f"{text.plus_minus(*areas[rows])} ({tax})"


def draw(found: Curves, path: Path) -> None:
    """Write a PNG with a panel for hypervolume and one for tax."""
    panels = [
        lines_picture.Panel(
            f"{title} is better",
            "calibration rows of either kind",
            numbers(found),
            "",
            {name: [(rows, *figures) for rows, figures in of[place].items()] for name, of in found.items()},
            doubled=True,
        )
        for place, title in enumerate(("hypervolume: higher", "safety tax: lower"))
    ]
    lines_picture.draw(panels, path)
