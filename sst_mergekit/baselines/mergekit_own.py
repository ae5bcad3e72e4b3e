"""Methods that mergekit has itself: only their rows in a comparison are here."""

from __future__ import annotations

from typing import Any

from sst_mergekit.baselines.shared.baseline import ADDED, Baseline, thinned
from sst_mergekit.baselines.shared.method import Experts, Method, Settings, recipe_of

TASK_ARITHMETIC = ("TA", "Task-Arithmetic")
DENSITIES = ("density", (0.5, 0.7))


def _task_arithmetic(experts: Experts, settings: Settings) -> dict[str, Any]:
    weight = settings["strength"]
    return recipe_of("task_arithmetic", experts, {"weight": 1.0}, {"weight": weight}, {"normalize": False})


def _linear(experts: Experts, settings: Settings) -> dict[str, Any]:
    weight = settings["strength"]
    body = recipe_of("linear", experts, {"weight": round(1 - weight, 4)}, {"weight": weight}, {})
    del body["base_model"], body["parameters"]
    return body


def _sce(experts: Experts, settings: Settings) -> dict[str, Any]:
    return recipe_of("sce", experts, {}, {}, {"select_topk": settings["strength"]})


ROWS = (
    Method("task_arithmetic", "Task Arithmetic", ADDED, None, _task_arithmetic, published=TASK_ARITHMETIC),
    Method("ties", "TIES", ADDED, DENSITIES, thinned("ties"), published=("TIES", "TIES-Merging")),
    Method("dare_ties", "DARE-TIES", ADDED, DENSITIES, thinned("dare_ties")),
    Method("linear", "linear", 0.5, None, _linear, most=0.99),
    Method("dare_linear", "DARE", ADDED, DENSITIES, thinned("dare_linear"), published=("DARE", "DARE")),
    Method("breadcrumbs", "Breadcrumbs", ADDED, DENSITIES, thinned("breadcrumbs")),
    Method("della", "DELLA", ADDED, DENSITIES, thinned("della")),
    Method("sce", "SCE", 0.5, None, _sce, most=1.0),
)
BASELINES = tuple(Baseline(row) for row in ROWS)
