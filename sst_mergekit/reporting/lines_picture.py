"""Pictures of figures over a number, a line a method: over calibration rows, over experts that are merged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sst_mergekit.experiments.names import label, own
from sst_mergekit.reporting.styles import mark

Line = Sequence[tuple[int, float, float | None]]  # the number, the mean over seeds, its margin


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: above it.
        number: what the lines are over.
        ticks: which numbers there are.
        figure: what they are of.
        lines: by method; the base's is dotted.
        doubled: whether numbers are on a scale of powers of 2.
        bottom: where the figure's axis begins; None: the means decide what is shown, and the bars of few
            seeds end at the edge.
    """

    title: str
    number: str
    ticks: Sequence[int]
    figure: str
    lines: Mapping[str, Line]
    doubled: bool = False
    bottom: float | None = None


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Write a PNG of panels side by side; bars are 95 % intervals over seeds, where there are several."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(2.5 + 4.5 * len(panels), 4.6), squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        _panel(axis, panel)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=4, frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=150, format="png")
    plt.close(figure)


def _panel(axis, panel: Panel) -> None:  # noqa: ANN001  (matplotlib is imported late)
    for place, (name, line) in enumerate(panel.lines.items()):
        aside = 0.1 * (place - (len(panel.lines) - 1) / 2)  # so that bars can be told apart
        colour, marker = mark(name)
        axis.errorbar(
            [number if panel.doubled else number + aside for number, _, _ in line],
            [mean for _, mean, _ in line],
            [math.nan if margin is None else margin for _, _, margin in line],
            color=colour,
            marker=marker,
            ls=":" if name == "base" else "-",
            lw=2.4 if own(name) == "sst" else 1.3,
            capsize=3,
            label=label(name),
        )
    if panel.bottom is None:
        means = [mean for line in panel.lines.values() for _, mean, _ in line] or [0.0]
        room = max(0.02, (max(means) - min(means)) / 4)
        axis.set_ylim(min(means) - room, max(means) + room)
    axis.set_ylim(bottom=panel.bottom)
    if panel.doubled:
        axis.set_xlim(panel.ticks[0] / 1.2, panel.ticks[-1] * 1.2)
        axis.set_xscale("log", base=2)
    axis.set_xticks(panel.ticks, [str(tick) for tick in panel.ticks])
    axis.set_xlabel(panel.number)
    axis.set_ylabel(panel.figure)
    axis.set_title(panel.title, fontsize=11)
    axis.grid(alpha=0.3)
