"""A number and what is known of it: its interval, standard error and size, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

NOISE_LEVEL = 1.96  # standard errors that a gain must exceed to be one
UNIT = (0.0, 1.0)  # where rates lie


@dataclass(frozen=True)
class Rate:
    """A metric as measured: its value, the standard error (None: undefined) and the documents scored."""

    value: float
    stderr: float | None
    n: int


@dataclass(frozen=True)
class Estimate:
    """A number with what is known of it.

    Attributes:
        value: None where it is undefined.
        low, high: its 95 % interval; an end is None where it is unbounded or unknown.
        stderr: its standard error.
        n: what it was taken over (seeds or prompts, as the table says).
        reason: why the value is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    stderr: float | None = None
    n: int | None = None
    reason: str | None = None

    @property
    def margin(self) -> float | None:
        """Return the half-width of the interval: the longer side, where the other ends at a bound.

        >>> Estimate(0.75, 0.25, 1.0).margin
        0.5
        """
        if self.value is None or self.low is None or self.high is None:
            return None
        return max(self.value - self.low, self.high - self.value)


def plain(body: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return a dataclass as plain data; of every estimate in it only the fields that are named.

    >>> plain(Estimate(0.5, 0.4, 0.6), ("value", "high"))
    {'value': 0.5, 'high': 0.6}
    """
    whole = [field.name for field in fields(Estimate)]

    def made(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        return {name: found[name] for name in names} if list(found) == whole else found

    return asdict(body, dict_factory=made)


def around(
    value: float, margin: float | None, n: int, within: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """Return a value with a margin either way, kept within bounds; without ends where there is no margin.

    >>> around(0.75, 0.5, 3, UNIT)
    Estimate(value=0.75, low=0.25, high=1.0, stderr=None, n=3, reason=None)
    """
    if margin is None:
        return Estimate(value, n=n)
    return Estimate(value, max(within[0], value - margin), min(within[1], value + margin), n=n)


def wilson(count: int, n: int, reason: str | None = None) -> Estimate:
    """Return count / n with the 95 % interval of Wilson (1927), which holds near 0 and 1 too.

    >>> found = wilson(0, 10)
    >>> found.value, found.low, round(found.high, 3)
    (0.0, 0.0, 0.278)

    Args:
        count: how many of them.
        n: of so many.
        reason: said where there are none.
    """
    if n == 0:
        return Estimate(None, n=0, reason=reason)
    from scipy.stats import binomtest

    ends = binomtest(count, n).proportion_ci(method="wilson")
    return Estimate(count / n, float(ends.low), float(ends.high), n=n)


def over_prompts(value: float, stderr: float | None, n: int | None) -> Estimate:
    """Return a mean over prompts with its 95 % interval; prompts are taken as independent.

    Wilson's for a share, which is known by its standard error sqrt(p (1 - p) / (n - 1)); elsewhere normal.

    >>> found = over_prompts(1.0, 0.0, 100), over_prompts(3.0, 0.5, 10)
    >>> [(round(each.low, 4), round(each.high, 4)) for each in found]
    [(0.963, 1.0), (2.02, 3.98)]
    """
    if stderr is None:
        return Estimate(value, n=n)
    if n and n > 1 and 0 <= value <= 1 and abs(stderr - math.sqrt(value * (1 - value) / (n - 1))) < 1e-6:
        ends = wilson(round(value * n), n)
        return Estimate(value, ends.low, ends.high, stderr, n)
    from scipy.stats import norm

    half = float(norm.ppf(0.975)) * stderr
    return Estimate(value, value - half, value + half, stderr, n)


def mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


def mean_rate(parts: Sequence[Rate]) -> Rate:
    """Return the unweighted mean of independent rates, its standard error and their documents' sum."""
    known = [part.stderr for part in parts if part.stderr is not None]
    stderr = math.hypot(*known) / len(parts) if len(known) == len(parts) else None
    return Rate(mean([part.value for part in parts]), stderr, sum(part.n for part in parts))


def variance(values: Sequence[float]) -> float | None:
    """Return the variance of a sample; None below two values.

    >>> variance([1.0, 3.0])
    2.0
    """
    if len(values) < 2:
        return None
    centre = mean(values)
    return sum((value - centre) ** 2 for value in values) / (len(values) - 1)


def t_interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean over seeds and the half-width of its 95 % t-interval (None below two values)."""
    found = variance(values)
    if found is None:
        return mean(values), None
    from scipy.stats import t

    return mean(values), float(t.ppf(0.975, len(values) - 1)) * math.sqrt(found / len(values))


def over_seeds(
    values: Sequence[float], stderr: float | None = None, within: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """Return the mean over seeds with its t-interval; of one seed, with 1.96 of its standard errors.

    >>> over_seeds([0.5, 0.7]).value, over_seeds([0.5], stderr=0.1).high
    (0.6, 0.696)
    """
    centre, margin = t_interval(values)
    if margin is None and stderr is not None:
        margin = NOISE_LEVEL * stderr
    return around(centre, margin, len(values), within)


def known_over_seeds(values: Sequence[float | None], reasons: Sequence[str | None]) -> Estimate:
    """Return the mean of the values that are defined; undefined, with the first reason, where none is."""
    known = [value for value in values if value is not None]
    if known:
        return over_seeds(known)
    reason = next((reason for reason in reasons if reason), "it is undefined on every seed")
    return Estimate(None, n=0, reason=reason)
