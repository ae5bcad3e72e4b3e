"""What calibration rows are worth: each method's hypervolume and tax over how many there were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.errors import DataError
from sst_mergekit.metrics import text
from sst_mergekit.metrics.estimate import t_interval
from sst_mergekit.reporting.demo_picture import STYLES
from sst_mergekit.reporting.demo_report import LABELS
from sst_mergekit.reporting.tally import Unit

Curve = dict[int, tuple[float, float | None]]  # rows -> mean over seeds, half-width of its interval


def curves(units: Sequence[Unit]) -> dict[str, tuple[Curve, Curve]]:
    """Return each method's hypervolume and tax by the number of calibration rows.

    Raises:
        DataError: fewer than two numbers of rows, or not the same seeds of each.
    """
    seeds = {rows: sorted(u.seed for u in units if u.rows == rows) for rows in {u.rows for u in units}}
    if len(seeds) < 2 or None in seeds:
        raise DataError("--curve: give folders of `demo --calibration-rows N` with two numbers N or more")
    if len({tuple(each) for each in seeds.values()}) > 1:
        raise DataError(f"--curve: not the same seeds for each number of rows, but {seeds}")
    shared = set.intersection(*(set(unit.hypervolumes) for unit in units))
    order = sorted(rows for rows in seeds if rows is not None)
    found = {}
    for name in (name for name in LABELS if name in shared):
        of = {rows: [u for u in units if u.rows == rows] for rows in order}
        areas = {rows: t_interval([u.hypervolumes[name] for u in of[rows]]) for rows in order}
        taxes = {rows: [tax for u in of[rows] if (tax := u.taxes[name]) is not None] for rows in order}
        found[name] = areas, {rows: t_interval(each) for rows, each in taxes.items() if each}
    return found


def to_markdown(found: dict[str, tuple[Curve, Curve]]) -> str:
    """Return the hypervolumes, and in brackets the taxes, as a table."""
    order = sorted({rows for areas, _ in found.values() for rows in areas})
    lines = [[LABELS[name], *(_cell(*of, rows) for rows in order)] for name, of in found.items()]
    return text.table(("hypervolume (tax)", *(f"{rows} rows" for rows in order)), lines)


def _cell(areas: Curve, taxes: Curve, rows: int) -> str:
    tax = f"{taxes[rows][0]:.3f}" if rows in taxes else "null"
    return f"{text.plus_minus(*areas[rows])} ({tax})"


def draw(found: dict[str, tuple[Curve, Curve]], path: Path) -> None:
    """Write a PNG with a panel for hypervolume and one for tax; bars are 95 % t-intervals over seeds.

    The means decide what is shown: the bars of few seeds end at the edge.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6))
    for number, (axis, title) in enumerate(zip(axes, ("hypervolume", "safety tax"), strict=True)):
        for name, of in found.items():
            points = of[number]
            colour, marker = STYLES.get(name, ("#999999", "."))
            bars = [margin or 0.0 for _, margin in points.values()]
            means = [mean for mean, _ in points.values()]
            axis.errorbar(
                list(points), means, bars, color=colour, marker=marker, capsize=3, label=LABELS[name]
            )
        shown = [mean for of in found.values() for mean, _ in of[number].values()] or [0.0]
        room = max(0.02, (max(shown) - min(shown)) / 4)
        axis.set_ylim(min(shown) - room, max(shown) + room)
        ticks = sorted({rows for of in found.values() for rows in of[0]})
        axis.set_xlim(ticks[0] / 1.2, ticks[-1] * 1.2)
        axis.set_xscale("log", base=2)
        axis.set_xticks(ticks, [str(rows) for rows in ticks])
        axis.set_xlabel("calibration rows of either kind")
        axis.set_title(f"{title}: {'higher' if number == 0 else 'lower'} is better", fontsize=11)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=150, format="png")
    plt.close(figure)
