"""The picture of a comparison: each method's safety-utility front on the test split, a panel a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.experiments.names import label, own
from sst_mergekit.experiments.results import TARGET_SAFETY
from sst_mergekit.experiments.trials import TRAININGS
from sst_mergekit.reporting.rows import Row
from sst_mergekit.reporting.styles import MARKS, OURS, mark

COLUMNS = 3
SUBTITLE = "up and right is better · rings: chosen on the development split · grey: safety of 0.9 and more"


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write a PNG with one panel a seed: fronts, chosen settings (ringed) and unmerged models."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    seeds = list(dict.fromkeys(point.seed for point in rows[0].points))
    columns = min(COLUMNS, len(seeds))
    lines = -(-len(seeds) // columns)
    width, height = max(8.0, 5.0 * columns), 4.3 * lines + 1.5
    figure, axes = plt.subplots(
        lines, columns, figsize=(width, height), squeeze=False, sharex=True, sharey=True
    )
    for axis, seed in zip(axes.flat, seeds, strict=False):
        _panel(axis, rows, seed)
    for axis in list(axes.flat)[len(seeds) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("safety")
    for axis in axes[:, 0]:
        axis.set_ylabel("utility")
    for axis in axes[0]:
        axis.tick_params(labelbottom=True)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncol=3 if columns == 1 else 5, frameon=False, fontsize=9
    )
    figure.suptitle("Safety against skill on the test split", fontsize=13, y=1 - 0.1 / height, va="top")
    figure.text(0.5, 1 - 0.52 / height, SUBTITLE, ha="center", fontsize=9, color="#444444")
    figure.tight_layout(rect=(0, 0.8 / height, 1, 1 - 0.15 / height))
    figure.savefig(path, dpi=150, format="png")
    plt.close(figure)


def _panel(axis, rows: Sequence[Row], seed: str) -> None:  # noqa: ANN001  (matplotlib is imported late)
    axis.axvspan(TARGET_SAFETY, 1.02, color="#000000", alpha=0.05, lw=0)
    for row in (row for row in rows if own(row.name) in MARKS):
        name, (colour, marker) = own(row.name), mark(row.name)
        points = [point for point in row.points if point.seed == seed]
        strong = name in OURS
        axis.plot(
            *zip(*sorted((point.safety, point.utility) for point in points), strict=True),
            color=colour,
            marker=marker,
            ms=6 if strong else 5,
            lw=2.4 if strong else 1.3,
            ls="--" if row.kind == "control" or name in TRAININGS else "-",
            zorder=5 if strong else 3,
            label=label(row.name),
        )
        for point in points:
            if point.chosen:
                place = [point.safety], [point.utility]
                axis.plot(*place, "o", ms=13, mfc="none", mec=colour, mew=1.6, zorder=6)
    experts = {"utility-expert": "*", "safety-expert": "X"}
    for row in (row for row in rows if row.name in experts):
        [point] = [point for point in row.points if point.seed == seed]
        place = [point.safety], [point.utility]
        shape = experts[row.name]
        axis.plot(*place, shape, color="black", ms=12, ls="none", label=label(row.name), zorder=7)
    axis.set_title(f"seed {seed}", fontsize=10)
    axis.set_xlim(-0.02, 1.02)
    axis.grid(alpha=0.25)
