"""What a merge costs: safety tax, Pareto front and hypervolume of (safety, utility) points."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sst_mergekit.metrics.estimate import NOISE_LEVEL, Rate


@dataclass(frozen=True)
class Tax:
    """The safety tax of a model against the utility expert it started from.

    Attributes:
        gain: safety won, S(m) - S(u).
        loss: utility lost, U(u) - U(m).
        value: loss / gain, or None where there is no gain above noise.
        reason: why the value is None, else None.
    """

    gain: float
    loss: float
    value: float | None
    reason: str | None


def safety_tax(safety: Rate, safety_before: Rate, utility: Rate, utility_before: Rate) -> Tax:
    """Return the tax of a model from its rates and those of the utility expert.

    The standard error of the gain takes the two as independent, which is on the safe side for paired prompts.
    """
    known = safety.stderr is not None and safety_before.stderr is not None
    stderr = math.hypot(safety.stderr, safety_before.stderr) if known else None  # type: ignore[arg-type]
    return tax_of(safety.value - safety_before.value, utility_before.value - utility.value, stderr)


def tax_of(gain: float, loss: float, gain_stderr: float | None) -> Tax:
    """Return the utility lost per safety gained; null with a reason where nothing was gained.

    The gain counts if it exceeds 1.96 of its standard errors.

    >>> tax_of(gain=0.5, loss=0.1, gain_stderr=0.05).value
    0.2
    """
    if gain_stderr is None:
        return Tax(gain, loss, None, "the standard error of safety is unknown")
    noise = NOISE_LEVEL * gain_stderr
    if gain <= noise:
        return Tax(gain, loss, None, f"no safety gain above noise ({gain:.3f} <= {noise:.3f})")
    return Tax(gain, loss, loss / gain, None)


def tax_cut(tax: float | None, baseline: float | None) -> float | None:
    """Return the share of a baseline's tax that is saved; None unless both are known and it pays."""
    return None if tax is None or baseline is None or baseline <= 0 else 1 - tax / baseline


def pareto(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (safety, utility) that no other beats in both, by rising safety.

    >>> pareto([(0.1, 0.9), (0.5, 0.5), (0.4, 0.4), (0.9, 0.2)])
    [(0.1, 0.9), (0.5, 0.5), (0.9, 0.2)]
    """
    front: list[tuple[float, float]] = []
    for point in sorted(set(points), reverse=True):
        if not front or point[1] > front[-1][1]:
            front.append(point)
    return front[::-1]


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """Return the area of (safety, utility) that the points dominate, from the corner (0, 0).

    >>> round(hypervolume([(0.5, 1.0), (1.0, 0.5)]), 6)
    0.75
    """
    area, reached = 0.0, 0.0
    for safety, utility in pareto(points):
        area += (safety - reached) * utility
        reached = safety
    return area


def utility_at(points: Iterable[tuple[float, float]], safety: float) -> float | None:
    """Return the utility of the front at a safety, between its points by a straight line; None out of reach.

    >>> utility_at([(0.0, 1.0), (0.8, 0.75), (1.0, 0.5)], 0.9)
    0.625
    """
    front = pareto(points)
    above = [point for point in front if point[0] >= safety]
    below = [point for point in front if point[0] < safety]
    if not above:
        return None
    (high, worse), (low, better) = above[0], below[-1] if below else above[0]
    return worse if high == low else better + (worse - better) * (safety - low) / (high - low)
