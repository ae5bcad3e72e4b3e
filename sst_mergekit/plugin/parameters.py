"""The types of the method's parameters, with errors that name the parameter."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.settings import FILTERS, SCORES
from sst_mergekit.errors import closest

ROLES = ("utility", "safety", "expert")
THRESHOLDS = ("layer", "global")
BALANCES = ("global", "none")
PATCHES = ("add", "interpolate")
ON_MISSING = ("error", "keep")


def _choice(name: str, allowed: tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{name}: got '{value}'{closest(value, allowed)}; allowed: {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def _number(name: str, expected: str, test: Callable[[float], bool]) -> AfterValidator:
    def check(value: float) -> float:
        if not (math.isfinite(value) and test(value)):
            raise ValueError(f"{name}: got {value:g}, expected {expected}")
        return value

    return AfterValidator(check)


Role = Annotated[str, _choice("role", ROLES)]
GeometryName = Annotated[str, _choice("geometry", tuple(GEOMETRIES))]
FilterName = Annotated[str, _choice("filter", FILTERS)]
Score = Annotated[str, _choice("score", SCORES)]
Threshold = Annotated[str, _choice("threshold", THRESHOLDS)]
Balance = Annotated[str, _choice("balance", BALANCES)]
Patch = Annotated[str, _choice("patch", PATCHES)]
OnMissing = Annotated[str, _choice("on_missing", ON_MISSING)]
Strength = Annotated[float, _number("strength", "a number >= 0", lambda x: x >= 0)]
Cost = Annotated[float, _number("cost", "a number >= 0", lambda x: x >= 0)]
Damping = Annotated[float, _number("damping", "a number >= 0", lambda x: x >= 0)]
Weight = Annotated[float, _number("weight", "a number >= 0", lambda x: x >= 0)]
LayerWeight = Annotated[float, _number("layer_weight", "a number > 0", lambda x: x > 0)]
Density = Annotated[float, _number("density", "a share in (0, 1]", lambda x: 0 < x <= 1)]
