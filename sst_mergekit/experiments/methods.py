"""The methods that the demo compares, each as mergekit recipes over its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sst_mergekit.core.settings import DEFAULTS, GEOMETRY

Settings = dict[str, float]


@dataclass(frozen=True)
class Experts:
    """What a recipe names: base, utility expert, safety adapter and their statistics, as absolute paths."""

    base: str
    utility: str
    safety: str  # base+adapter
    statistics: str  # the folder of all statistics
    refits: str  # the folder of the refitted patches, by their learning rate
    aligned: str = ""  # the model that the utility expert was made from, where that is not the base

    def fisher(self, kind: str) -> tuple[str, str]:
        """Return the statistics of the utility and of the safety expert."""
        return f"{self.statistics}/utility-{kind}", f"{self.statistics}/safety-{kind}"


@dataclass(frozen=True)
class Method:
    """A merge method and the settings it is tried with.

    Attributes:
        name: unique, used in file names.
        label: for people.
        control: a row that shows what knowledge is worth, not a rival.
        strength: the one tried first: where safety is usually won.
        second: the name and values of a second setting, or None.
        recipe: (experts, settings) -> mergekit configuration.
        most: the highest strength that the method takes, where strength is a share.
    """

    name: str
    label: str
    strength: float
    second: tuple[str, tuple[float, ...]] | None
    recipe: Callable[[Experts, Settings], dict[str, Any]]
    control: bool = False
    most: float = math.inf


def recipe_of(method: str, experts: Experts, utility: dict, safety: dict, shared: dict) -> dict[str, Any]:
    """Return a mergekit configuration of the two experts."""
    return {
        "merge_method": method,
        "base_model": experts.base,
        "models": [
            {"model": experts.utility, "parameters": utility},
            {"model": experts.safety, "parameters": safety},
        ],
        "parameters": shared,
        "dtype": "float32",
    }


def _task_arithmetic(experts: Experts, settings: Settings) -> dict[str, Any]:
    weight = settings["strength"]
    return recipe_of("task_arithmetic", experts, {"weight": 1.0}, {"weight": weight}, {"normalize": False})


def _sparse(method: str) -> Callable[[Experts, Settings], dict[str, Any]]:
    """TIES and DARE: only the safety patch is thinned, so that strength 0 is the utility expert."""

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        safety = {"weight": settings["strength"], "density": settings["density"]}
        return recipe_of(method, experts, {"weight": 1.0, "density": 1.0}, safety, {"normalize": False})

    return recipe


def sst_recipe(**shared: Any) -> Callable[[Experts, Settings], dict[str, Any]]:
    """Return what makes SST recipes with shared parameters `shared` and those of the settings.

    The utility expert keeps its norms and embeddings, which the safety adapter does not touch.
    """
    kind = shared.get("geometry", GEOMETRY)

    def recipe(experts: Experts, settings: Settings) -> dict[str, Any]:
        utility, safety = experts.fisher(kind)
        return recipe_of(
            "sst",
            experts,
            {"role": "utility", "fisher": utility},
            {"role": "safety", "fisher": safety},
            {**shared, **settings},
        )

    return recipe


REFIT_RATES = (1.5e-3, 6e-3)


def _refitted(experts: Experts, settings: Settings) -> dict[str, Any]:
    """A refitted patch is an adapter on the utility expert."""
    adapter = f"{experts.utility}+{experts.refits}/{settings['rate']:g}"
    return {
        "merge_method": "task_arithmetic",
        "base_model": experts.utility,
        "models": [{"model": adapter, "parameters": {"weight": settings["strength"]}}],
        "parameters": {"normalize": False},
        "dtype": "float32",
    }


_DENSITIES = ("density", (0.5, 0.7))
COSTS, FIRST = ("cost", (0.1, 1.0)), 0.9  # on both sides of the default, and the first strength

METHODS = (
    Method("task_arithmetic", "Task Arithmetic", 0.7, None, _task_arithmetic),
    Method("ties", "TIES", 0.7, _DENSITIES, _sparse("ties")),
    Method("dare_ties", "DARE-TIES", 0.7, _DENSITIES, _sparse("dare_ties")),
    Method("sst", "SST-Merge", FIRST, COSTS, sst_recipe(filter=DEFAULTS.filter)),
    Method("sst_refit", "SST-Merge, refitted", 1.0, ("rate", REFIT_RATES), _refitted),
    Method(
        "sst_shuffled",
        "SST, weights shuffled",
        FIRST,
        COSTS,
        sst_recipe(filter="shuffled"),
        control=True,
    ),
)
