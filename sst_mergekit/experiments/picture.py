"""The picture of experiment 2: the retained share over the number of experts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# colours of Okabe & Ito, told apart by most people
STYLES = {
    "SST-Merge": ("#D55E00", "o"),
    "TA": ("#0072B2", "s"),
    "TIES": ("#56B4E9", "D"),
    "DARE": ("#CC79A7", "v"),
    "dare_ties": ("#009E73", "^"),
    "KnOTS": ("#E69F00", "P"),
}
LABELS = {"dare_ties": "DARE-TIES"}


def draw(body: Mapping[str, Any], path: Path) -> None:
    """Write a PNG with a line a method; bars are 95 % intervals over seeds, where there are several."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    counts = [key for key in body if key.isdigit()]
    figure, axis = plt.subplots(figsize=(7.5, 4.6))
    there = body[counts[0]]["methods"]
    styles = {method: style for method, style in STYLES.items() if method in there}
    for number, (method, (colour, marker)) in enumerate(styles.items()):
        found = [(int(key), body[key]["methods"][method]) for key in counts]
        known = [(count, one) for count, one in found if one["performance"] is not None]
        axis.errorbar(
            [
                count + 0.1 * (number - (len(styles) - 1) / 2) for count, _ in known
            ],  # aside, so that bars can be told apart
            [one["performance"] for _, one in known],
            yerr=[math.nan if one["margin"] is None else one["margin"] for _, one in known],
            **{"color": colour, "marker": marker, "ms": 6, "capsize": 3, "label": LABELS.get(method, method)},
            lw=2.4 if method == "SST-Merge" else 1.3,
        )
    bases = [(int(key), _base(body[key])) for key in counts]
    axis.plot(*zip(*bases, strict=True), color="#666666", ls=":", lw=1.3, label="base")
    axis.set_xticks([int(key) for key in counts])
    axis.set_ylim(bottom=0)
    axis.set_xlabel("experts merged, one a task")
    axis.set_ylabel("share of the experts' own scores, mean")
    axis.set_title("What is left of every task when experts are merged")
    axis.grid(alpha=0.25)
    axis.legend(
        frameon=False, ncols=len(styles) + 1, loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=9
    )
    figure.tight_layout()
    figure.savefig(path, dpi=150, format="png")
    plt.close(figure)


def _base(found: Mapping[str, Any]) -> float:
    """Return the share that the base has without any expert, the mean over tasks and seeds."""
    seeds = next(iter(found["methods"].values()))["seeds"]
    tasks = [task for seed in seeds for task in seed["tasks"].values() if task["expert"]]
    return sum(task["base"] / task["expert"] for task in tasks) / len(tasks) if tasks else math.nan
