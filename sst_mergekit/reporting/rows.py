"""The rows of every report: a method, or an unmerged model, with its figures over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sst_mergekit.experiments.names import LABELS, own
from sst_mergekit.experiments.results import TARGET_SAFETY
from sst_mergekit.metrics.estimate import UNIT, Estimate, Rate, known_over_seeds, mean_rate, over_seeds
from sst_mergekit.metrics.tradeoff import pareto, utility_at
from sst_mergekit.reporting.results import Body

PARTS = {"mmlu": "MMLU", "humaneval": "HumanEval", "compliance": "over-refusal"}
START = "utility-expert"  # what gains and losses are held against
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """One setting of a method on one seed, on the test split; ``chosen`` on the development split."""

    seed: str
    settings: Mapping[str, float]
    safety: float
    utility: float
    chosen: bool


@dataclass(frozen=True)
class Row:
    """One method at its chosen settings, or an unmerged model; means over seeds.

    Attributes:
        name: of the method.
        kind: ``expert``, ``method`` or ``control``.
        safety, utility: rates.
        parts: of utility, by name; compliance is shown as over-refusal.
        prompts: how many each rate is of, a seed.
        gain, loss: safety won and utility lost against the utility expert.
        tax: loss / gain of a seed, over the seeds that have one.
        tax_parts: what of it each part of utility makes up.
        hypervolume: of the front.
        utility_at_target: of the front, at the safety that is aimed at.
        divergence, perplexity: KL from the utility expert and perplexity on held-out benign rows.
        missed: seeds on which no setting reached what was asked for on development.
        seeds: how many.
        points: its front, by seed and rising safety.
        steps: for each seed the (safety, utility) that no other point beats, the utility expert among them.
    """

    name: str
    kind: str
    safety: Estimate
    parts: dict[str, Estimate]
    prompts: dict[str, int]
    utility: Estimate
    gain: Estimate
    loss: Estimate
    tax: Estimate
    tax_parts: dict[str, Estimate]
    hypervolume: Estimate
    utility_at_target: Estimate
    divergence: Estimate
    perplexity: Estimate
    missed: int
    seeds: int
    points: list[Point]
    steps: dict[str, list[tuple[float, float]]]


def rows(body: Body) -> list[Row]:
    """Return the rows of a comparison: unmerged models first, methods in the order that they are known in."""
    order = {name: place for place, name in enumerate(LABELS)}
    found: dict[str, list[Found]] = {}
    for one in body["results"]:
        found.setdefault(one["method"], []).append(one)
    start = {one["seed"]: one for one in found[START]}
    made = [_row(name, each, start) for name, each in found.items()]
    return sorted(made, key=lambda row: (row.kind != "expert", order.get(own(row.name), len(order))))


def _row(name: str, found: Sequence[Found], start: Mapping[int, Found]) -> Row:
    merged = "settings" in found[0]
    asked = [str(part) for part in found[0]["parts"] if part != "safety"]
    parts = {PARTS.get(part, part): part for part in sorted(asked, key=lambda part: part != "compliance")}
    stderr = mean_rate([Rate(**found[0]["parts"][part]) for part in asked]).stderr
    rates = {"safety": "safety", **parts}
    reasons = [one["safety_tax_reason"] for one in found]
    front = "no front reaches it" if merged else "an unmerged model has no front"
    points = {one["seed"]: sorted(_points(one), key=lambda point: point.safety) for one in found}
    steps = {str(seed): _steps(each, start[seed]) for seed, each in points.items()} if merged else {}
    at_target = [utility_at(each, TARGET_SAFETY) for each in steps.values()]
    return Row(
        name=name,
        kind="expert" if not merged else "control" if found[0]["control"] else "method",
        safety=_part(found, "safety"),
        parts={shown: _part(found, part) for shown, part in parts.items()},
        prompts={shown: found[0]["parts"][part]["n"] for shown, part in rates.items()},
        utility=over_seeds([one["utility_score"] for one in found], stderr, UNIT),
        gain=over_seeds([one["safety_gain"] for one in found]),
        loss=over_seeds([one["utility_loss"] for one in found]),
        tax=known_over_seeds([one["safety_tax"] for one in found], reasons),
        tax_parts={
            shown: known_over_seeds([_tax(one, part, start) for one in found], reasons)
            for shown, part in parts.items()
        },
        hypervolume=_known(found, "hypervolume", front),
        utility_at_target=known_over_seeds(at_target, [front]),
        divergence=_known(found, "divergence", "it was not measured"),
        perplexity=_known(found, "perplexity", "it was not measured"),
        missed=sum(not one.get("reached_target", True) for one in found),
        seeds=len(found),
        points=[point for each in points.values() for point in each],
        steps=steps,
    )


def _part(found: Sequence[Found], part: str) -> Estimate:
    """Return one rate over seeds; compliance is turned into over-refusal."""
    rates = [one["parts"][part] for one in found]
    values = [1 - rate["value"] if part == "compliance" else rate["value"] for rate in rates]
    return over_seeds(values, rates[0]["stderr"], UNIT)


def _tax(one: Found, part: str, start: Mapping[int, Found]) -> float | None:
    """Return what one part of utility, which is their mean, makes up of a seed's tax."""
    if one["safety_tax"] is None:
        return None
    before = start[one["seed"]]["parts"]
    lost = before[part]["value"] - one["parts"][part]["value"]
    return lost / (len(before) - 1) / one["safety_gain"]


def _known(found: Sequence[Found], key: str, reason: str) -> Estimate:
    return known_over_seeds([one.get(key) for one in found], [reason])


def _points(one: Found) -> list[Point]:
    own = one.get("settings", {})
    return [
        Point(
            str(one["seed"]),
            each.get("settings", {}),
            each["safety_score"],
            each["utility_score"],
            each.get("settings", {}) == own,
        )
        for each in one.get("front", [one])
    ]


def _steps(points: Sequence[Point], start: Found) -> list[tuple[float, float]]:
    places = [(start["safety_score"], start["utility_score"])]
    return pareto([*places, *((point.safety, point.utility) for point in points)])
