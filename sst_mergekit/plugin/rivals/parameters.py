"""The types of the rivals' parameters that ``sst`` does not have."""

from __future__ import annotations

from typing import Annotated

from sst_mergekit.plugin.parameters import choice, number
from sst_mergekit.rivals.mergealign import INTERPOLATIONS

ROLES = ("utility", "safety", "aligned", "unaligned")
STATISTICS = ("diagonal", "kronecker")
BUDGET_UNITS = ("absolute", "share")

Role = Annotated[str, choice("role", ROLES)]
FisherForm = Annotated[str, choice("geometry", STATISTICS)]
Interpolation = Annotated[str, choice("interpolation", INTERPOLATIONS)]
OrAverage = Annotated[str, choice("on_missing", ("error", "average"))]
OrKeepOrAligned = Annotated[str, choice("on_missing", ("error", "keep", "aligned"))]
BudgetUnit = Annotated[str, choice("unit", BUDGET_UNITS)]
Weight = Annotated[float, number("weight", "a number >= 0", lambda x: x >= 0)]
Share = Annotated[float, number("strength", "a share in [0, 1]", lambda x: 0 <= x <= 1)]
Threshold = Annotated[float, number("threshold", "a cosine in [-1, 1]", lambda x: -1 <= x <= 1)]
Drop = Annotated[float, number("drop", "a share in [0, 1)", lambda x: 0 <= x < 1)]
OffDiagonal = Annotated[float, number("off_diagonal", "a share in [0, 1]", lambda x: 0 <= x <= 1)]
Extrapolation = Annotated[float, number("extrapolation", "a number >= 0", lambda x: x >= 0)]
Budget = Annotated[float, number("budget", "a number >= 0", lambda x: x >= 0)]
Energy = Annotated[float, number("energy", "a share in [0, 1]", lambda x: 0 <= x <= 1)]
Penalty = Annotated[float, number("penalty", "a number >= 0", lambda x: x >= 0)]
Rank = Annotated[int, number("rank", "a whole number >= 0", lambda x: x >= 0)]
