"""The comparison as a forest plot: every run's difference to the reference, a panel a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.comparison.pairs import Compared, Pair
from sst_mergekit.comparison.run import Comparison

LEVEL = 0.05
# colours of Okabe & Ito, told apart by most people
BETTER, WORSE, UNSURE, CHANGED = "#0072B2", "#D55E00", "#888888", "#009E73"
LABELS = {
    BETTER: f"better, p (Holm) < {LEVEL}",
    WORSE: f"worse, p (Holm) < {LEVEL}",
    CHANGED: f"differs, p (Holm) < {LEVEL}; direction unknown",
    UNSURE: "not told apart after Holm",
}
ROW, PANEL, MARGIN = 0.26, 0.55, 0.9  # inches a row, around a panel, around all


def draw(comparison: Comparison, path: Path) -> None:
    """Write a PNG: one panel a task, one row a metric and run, colour for what is certain after Holm."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    reference = comparison.runs[0]
    tasks = list(dict.fromkeys(metric.task for metric in comparison.metrics))
    panels = [[metric for metric in comparison.metrics if metric.task == task] for task in tasks]
    heights = [len(_rows(panel, reference)) + 0.4 for panel in panels]
    figure, axes = plt.subplots(
        len(panels),
        1,
        figsize=(10, ROW * sum(heights) + PANEL * len(panels) + MARGIN),
        squeeze=False,
        height_ratios=heights,
        layout="constrained",
    )
    for axis, panel in zip(axes[:, 0], panels, strict=True):
        _panel(axis, panel, reference)
    shown = {_colour(m, pair) for panel in panels for m, pair in _rows(panel, reference) if pair}
    used = [colour for colour in LABELS if colour in shown]
    handles = [plt.Line2D([], [], color=colour, marker="o", lw=2, label=LABELS[colour]) for colour in used]  # type: ignore[attr-defined]
    figure.legend(handles=handles, loc="outside lower center", ncol=len(handles), frameon=False, fontsize=9)
    title = f"Difference to '{reference}' on the same prompts, 95 % paired bootstrap (scales differ)"
    figure.suptitle(title, fontsize=12)
    figure.savefig(path, dpi=130, format="png")
    plt.close(figure)


def _rows(panel: Sequence[Compared], reference: str) -> list[tuple[Compared, Pair | None]]:
    """Return the rows of a panel from the top: a metric's heading (no pair), then its pairs."""
    return [
        (metric, pair)
        for metric in panel
        for pair in (None, *(pair for pair in metric.pairs if pair.against == reference))
    ]


def _panel(axis, panel: Sequence[Compared], reference: str) -> None:  # noqa: ANN001  (matplotlib is imported late)
    rows = _rows(panel, reference)
    labels = []
    for place, (metric, pair) in enumerate(rows):
        if pair is None:
            arrow = {True: " (higher is better)", False: " (lower is better)", None: ""}[
                metric.higher_is_better
            ]
            labels.append(f"{metric.metric}{arrow}, n = {metric.n}")
            continue
        labels.append(pair.run)
        colour, gap = _colour(metric, pair), pair.difference
        if gap.low is not None and gap.high is not None:
            axis.hlines(place, gap.low, gap.high, color=colour, lw=2)
        axis.plot([gap.value], [place], "o", ms=5, color=colour)
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    for tick, (_, pair) in zip(axis.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if pair is None else "normal")
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(rows) - 0.4, -0.8)
    axis.grid(axis="x", alpha=0.25)
    axis.set_title(panel[0].task, fontsize=10, loc="left")
    axis.spines[["top", "right", "left"]].set_visible(False)


def _colour(metric: Compared, pair: Pair) -> str:
    if pair.p_holm is None or pair.p_holm >= LEVEL:
        return UNSURE
    if metric.higher_is_better is None:
        return CHANGED
    better = (pair.difference.value > 0) == metric.higher_is_better  # type: ignore[operator]
    return BETTER if better else WORSE
