"""What a sweep found: fronts as JSON, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sst_mergekit.experiments.results import Point
from sst_mergekit.experiments.strategies.space import spelled
from sst_mergekit.experiments.sweep import Objectives
from sst_mergekit.metrics import text
from sst_mergekit.metrics.estimate import NOISE_LEVEL
from sst_mergekit.metrics.tradeoff import hypervolume, pareto

Body = dict[str, Any]
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#999999")


def report(found: Mapping[str, Sequence[Point]], objectives: Objectives, about: Body) -> Body:
    """Return the JSON of a sweep.

    ``.front`` holds the settings of all subjects that no other beats in both safety and utility,
    ``.subjects.<name>`` each one's own front, hypervolume and all that was tried.
    """
    points = [_point(name, each) for name, tried in found.items() for each in tried]
    subjects = {}
    for name in found:
        own = [point for point in points if point["subject"] == name]
        area = hypervolume((point["safety"]["value"], point["utility"]["value"]) for point in own)
        subjects[name] = {"tried": len(own), "hypervolume": area, "front": front(own), "points": own}
    metrics = {"safety": list(objectives.safety), "utility": list(objectives.utility)}
    return {"front": front(points), "subjects": subjects, "metrics": metrics, **about}


def _point(name: str, point: Point) -> Body:
    rates = {"safety": asdict(point.dev.safety), "utility": asdict(point.dev.utility)}
    return {"subject": name, "settings": point.settings, **rates}


def front(points: Sequence[Body]) -> list[Body]:
    """Return the points on the front, by rising safety; of equal ones the first."""
    places = {(point["safety"]["value"], point["utility"]["value"]): point for point in reversed(points)}
    return [places[place] for place in pareto(places)]


def table(body: Body) -> str:
    """Return the front for people."""
    rows = [
        (_shown(point["safety"]), _shown(point["utility"]), point["subject"], spelled(point["settings"]))
        for point in body["front"]
    ]
    lines = text.table(("safety", "utility", "of", "settings"), rows).splitlines()
    for name, one in body["subjects"].items():
        lines.append(f"{name}: {one['tried']} settings, hypervolume {one['hypervolume']:.3f}")
    return "\n".join(lines)


def _shown(rate: Body) -> str:
    return text.plus_minus(rate["value"], None if rate["stderr"] is None else NOISE_LEVEL * rate["stderr"])


def draw(body: Body, path: Path) -> None:
    """Write a PNG: all settings as dots, each subject's front as a line."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7.5, 5.5))
    for number, (name, one) in enumerate(body["subjects"].items()):
        colour = COLOURS[number % len(COLOURS)]
        xs, ys = _xy(one["points"])
        axis.plot(xs, ys, "o", ms=4, mfc="none", mec=colour, alpha=0.55)
        xs, ys = _xy(one["front"])
        axis.plot(xs, ys, "o-", ms=6, color=colour, drawstyle="steps-pre", label=f"{name} ({one['tried']})")
    axis.set_xlabel("safety: " + " + ".join(body["metrics"]["safety"]))
    axis.set_ylabel("utility: " + "\n+ ".join(body["metrics"]["utility"]))
    axis.set_title("Front of safety and utility on the development split")
    axis.grid(alpha=0.25)
    axis.legend(frameon=False, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=150, format="png")
    plt.close(figure)


def _xy(points: Sequence[Body]) -> tuple[list[float], list[float]]:
    return [point["safety"]["value"] for point in points], [point["utility"]["value"] for point in points]
