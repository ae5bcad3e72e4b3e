"""The types of the method's parameters, with errors that name the parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.settings import FILTERS
from sst_mergekit.errors import closest

ROLES = ("utility", "safety", "expert")
BALANCES = ("global", "none")
PATCHES = ("add", "interpolate")
ON_MISSING = ("error", "keep", "add")


def choice(name: str, allowed: tuple[str, ...]) -> AfterValidator:
    """Return a validator that takes one of the allowed words."""

    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{name}: got '{value}'{closest(value, allowed)}; allowed: {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def number(name: str, expected: str, test: Callable[[float], bool]) -> AfterValidator:
    """Return a validator that takes finite numbers that pass a test."""

    def check(value: float) -> float:
        if not (math.isfinite(value) and test(value)):
            raise ValueError(f"{name}: got {value:g}, expected {expected}")
        return value

    return AfterValidator(check)


Role = Annotated[str, choice("role", ROLES)]
GeometryName = Annotated[str, choice("geometry", tuple(GEOMETRIES))]
FilterName = Annotated[str, choice("filter", FILTERS)]
Balance = Annotated[str, choice("balance", BALANCES)]
Patch = Annotated[str, choice("patch", PATCHES)]
OnMissing = Annotated[str, choice("on_missing", ON_MISSING)]
Strength = Annotated[float, number("strength", "a number >= 0", lambda x: x >= 0)]
Cost = Annotated[float, number("cost", "a number >= 0", lambda x: x >= 0)]
Damping = Annotated[float, number("damping", "a number >= 0", lambda x: x >= 0)]
Weight = Annotated[float, number("weight", "a number >= 0", lambda x: x >= 0)]
LayerWeight = Annotated[float, number("layer_weight", "a number > 0", lambda x: x > 0)]
MinCoverage = Annotated[float, number("min_coverage", "a share in [0, 1]", lambda x: 0 <= x <= 1)]
Density = Annotated[float, number("density", "a share in (0, 1]", lambda x: 0 < x <= 1)]
