"""The safety and utility that every method reached: fronts, chosen settings, and their means over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sst_mergekit.metrics.estimate import UNIT, Estimate, over_seeds
from sst_mergekit.metrics.tradeoff import pareto
from sst_mergekit.reporting.results import Body

EXPERTS = ("base", "utility-expert", "safety-expert")


@dataclass(frozen=True)
class Point:
    """One setting of a method on one seed, on the test split; ``chosen`` on the development split."""

    seed: str
    settings: Mapping[str, float]
    safety: float
    utility: float
    chosen: bool


@dataclass(frozen=True)
class Front:
    """One method (or unmerged model).

    Attributes:
        name: of the method.
        control: whether it is one.
        points: by seed and rising safety.
        steps: for each seed the (safety, utility) that no other point beats, the utility expert among them.
        safety, utility: means of the chosen setting over seeds.
        hypervolume: its mean over seeds.
    """

    name: str
    control: bool
    points: list[Point]
    steps: dict[str, list[tuple[float, float]]]
    safety: Estimate
    utility: Estimate
    hypervolume: Estimate

    @property
    def expert(self) -> bool:
        """Whether it is an unmerged model."""
        return self.name in EXPERTS


def fronts(body: Body) -> list[Front]:
    """Return the fronts in the result of a comparison (experiment 3)."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in body["results"]:
        rows.setdefault(row["method"], []).append(row)
    utility = {row["seed"]: (row["safety_score"], row["utility_score"]) for row in rows["utility-expert"]}
    return [_front(name, found, utility) for name, found in rows.items()]


def _front(name: str, rows: Sequence[Mapping[str, Any]], utility: Mapping[int, tuple[float, float]]) -> Front:
    points, steps = [], {}
    for row in rows:
        seed = str(row["seed"])
        found = [_point(seed, one, row) for one in row.get("front", [row])]
        points += sorted(found, key=lambda point: point.safety)
        if name not in EXPERTS:
            steps[seed] = pareto([utility[row["seed"]], *((one.safety, one.utility) for one in found)])
    areas = [row["hypervolume"] for row in rows if row["hypervolume"] is not None]
    return Front(
        name,
        bool(rows[0].get("control")),
        points,
        steps,
        over_seeds([row["safety_score"] for row in rows], within=UNIT),
        over_seeds([row["utility_score"] for row in rows], within=UNIT),
        over_seeds(areas) if areas else Estimate(None, reason="of an unmerged model"),
    )


def _point(seed: str, one: Mapping[str, Any], row: Mapping[str, Any]) -> Point:
    settings = one.get("settings", {})
    chosen = settings == row.get("settings", {})
    return Point(seed, settings, one["safety_score"], one["utility_score"], chosen)
