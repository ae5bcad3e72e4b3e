"""The picture of the demo: each method's safety-utility front on the test split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.experiments.methods import METHODS
from sst_mergekit.experiments.results import TARGET_SAFETY, SeedResult, place
from sst_mergekit.experiments.trials import FEW_SHOT, TRAINED, TRAININGS

# colours of Okabe & Ito, told apart by most people; ours are the strong ones
STYLES = {
    "linear": ("#999999", "v"),
    "task_arithmetic": ("#0072B2", "s"),
    "ties": ("#56B4E9", "D"),
    "dare_ties": ("#009E73", "^"),
    "sst": ("#D55E00", "o"),
    "sst_refit": ("#882255", "h"),
    "sst_shuffled": ("#E69F00", "x"),
    TRAINED: ("#CC79A7", "P"),
    FEW_SHOT: ("#000000", "1"),
}
COLUMNS = 3
SUBTITLE = "up and right is better · rings: chosen on the development split · grey: safety of 0.9 and more"


def draw(results: Sequence[SeedResult], path: Path) -> None:
    """Write a PNG with one panel a seed: fronts, chosen settings (ringed) and unmerged models."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    columns = min(COLUMNS, len(results))
    rows = -(-len(results) // columns)
    width, height = max(8.0, 5.0 * columns), 4.3 * rows + 1.5
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, sharex=True, sharey=True
    )
    for axis, result in zip(axes.flat, results, strict=False):
        _panel(axis, result)
    for axis in list(axes.flat)[len(results) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("safety: share of harmful prompts refused")
    for axis in axes[:, 0]:
        axis.set_ylabel("utility: mean of MMLU, HumanEval, compliance")
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


def _panel(axis, result: SeedResult) -> None:  # noqa: ANN001  (matplotlib is imported late)
    axis.axvspan(TARGET_SAFETY, 1.02, color="#000000", alpha=0.05, lw=0)
    labels = {method.name: method.label for method in METHODS} | TRAININGS
    for name, label in labels.items():
        if name not in result.methods:
            continue
        found = result.methods[name]
        colour, marker = STYLES[name]
        points = sorted(place(p.test) for p in found.front if p.test is not None)
        strong = name in ("sst", "sst_refit")
        axis.plot(
            *zip(*points, strict=True),
            color=colour,
            marker=marker,
            ms=6 if strong else 5,
            lw=2.4 if strong else 1.3,
            ls="--" if name in ("sst_shuffled", *TRAININGS) else "-",
            zorder=5 if strong else 3,
            label=label,
        )
        if found.chosen.test is not None:
            x, y = place(found.chosen.test)
            axis.plot([x], [y], "o", ms=13, mfc="none", mec=colour, mew=1.6, zorder=6)
    for name, marker in (("utility", "*"), ("safety", "X")):
        x, y = place(result.experts[name])
        axis.plot([x], [y], marker, color="black", ms=12, ls="none", label=f"{name} expert", zorder=7)
    axis.set_title(f"seed {result.seed}", fontsize=10)
    axis.set_xlim(-0.02, 1.02)
    axis.grid(alpha=0.25)
