"""A row of a comparison: a merge method as mergekit recipes over its settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


Recipe = Callable[[Experts, Settings], dict[str, Any]]


@dataclass(frozen=True)
class Method:
    """A merge method and the settings it is tried with.

    Attributes:
        name: unique, used in file names.
        label: for people.
        strength: the one tried first: where safety is usually won.
        second: the name and values of a second setting, or None.
        recipe: (experts, settings) -> mergekit configuration.
        control: a row that shows what knowledge is worth, not a baseline.
        most: the highest strength that the method takes, where strength is a share.
        published: the short and the long name that papers write, where these are not ours.
    """

    name: str
    label: str
    strength: float
    second: tuple[str, tuple[float, ...]] | None
    recipe: Recipe
    control: bool = False
    most: float = math.inf
    published: tuple[str, str] | None = None


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
