"""What is left of every task when more and more experts are merged: experiment 2."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sst_mergekit.metrics.estimate import UNIT, Estimate, around, mean, over_seeds
from sst_mergekit.reporting.lines_picture import Panel
from sst_mergekit.reporting.results import Body


@dataclass(frozen=True)
class Kept:
    """One method (or the base): its retained share at each number of experts, and its strengths there."""

    name: str
    shares: list[Estimate]
    strengths: list[list[float]]


@dataclass(frozen=True)
class Retained:
    """All methods over the numbers of experts."""

    counts: list[int]
    methods: list[Kept]


def retained(body: Body) -> Retained:
    """Return the curves in the result of experiment 2, the base's own share last."""
    counts = [key for key in body if key.isdigit()]
    methods = [_method(name, [body[key] for key in counts]) for name in body[counts[0]]["methods"]]
    base = Kept("base", [_base(body[key]) for key in counts], [[] for _ in counts])
    return Retained([int(key) for key in counts], [*methods, base])


def _method(name: str, found: Sequence[Mapping[str, Any]]) -> Kept:
    each = [one["methods"][name] for one in found]
    return Kept(
        name,
        [_share(one) for one in each],
        [[seed["strength"] for seed in one["seeds"]] for one in each],
    )


def _share(one: Mapping[str, Any]) -> Estimate:
    if one["performance"] is None:
        return Estimate(None, n=len(one["seeds"]), reason="no expert answers a question of its own task")
    return around(one["performance"], one["margin"], len(one["seeds"]), (0.0, math.inf))


def _base(found: Mapping[str, Any]) -> Estimate:
    """Return the share that the base has without any expert, over seeds."""
    seeds = next(iter(found["methods"].values()))["seeds"]
    shares = [
        [task["base"] / task["expert"] for task in seed["tasks"].values() if task["expert"]] for seed in seeds
    ]
    known = [mean(each) for each in shares if each]
    if not known:
        return Estimate(None, n=0, reason="no expert answers a question of its own task")
    return over_seeds(known, within=UNIT)


def panel(found: Retained) -> Panel:
    """Return the picture's panel: a line a method, and the base's."""
    lines = {
        one.name: [
            (count, share.value, share.margin)
            for count, share in zip(found.counts, one.shares, strict=True)
            if share.value is not None
        ]
        for one in found.methods
    }
    return Panel(
        "What is left of every task when experts are merged",
        "experts merged, one a task",
        found.counts,
        "share of the experts' own scores, mean",
        lines,
        bottom=0.0,
    )
