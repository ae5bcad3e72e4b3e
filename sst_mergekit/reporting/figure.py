"""A measured number with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sst_mergekit.evaluation.tradeoff import NOISE_LEVEL, interval


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        value: None where it is undefined.
        low, high: its 95 % interval, None where it has none.
        n: what it was taken over (seeds or prompts, as the table says).
        reason: why the value is None.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    reason: str | None = None


def over_seeds(values: Sequence[float], stderr: float | None = None) -> Figure:
    """Return the mean over seeds with its t-interval; of one seed, with 1.96 of its standard errors.

    >>> over_seeds([0.5, 0.7]).value, over_seeds([0.5], stderr=0.1).high
    (0.6, 0.696)
    """
    mean, margin = interval(values)
    if margin is None and stderr is not None:
        margin = NOISE_LEVEL * stderr
    if margin is None:
        return Figure(mean, n=len(values))
    return Figure(mean, mean - margin, mean + margin, len(values))


def rate_over_seeds(values: Sequence[float], stderr: float | None = None) -> Figure:
    """Return the same of rates: the interval is kept to 0..1."""
    found = over_seeds(values, stderr)
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def known_over_seeds(values: Sequence[float | None], reasons: Sequence[str | None]) -> Figure:
    """Return the mean of the values that are defined; undefined, with the first reason, where none is."""
    known = [value for value in values if value is not None]
    if known:
        return over_seeds(known)
    reason = next((reason for reason in reasons if reason), "it is undefined on every seed")
    return Figure(None, n=0, reason=reason)


def share(right: int, n: int, nothing: str) -> Figure:
    """Return a share with Wilson's 95 % interval over prompts.

    Args:
        right: how many of them.
        n: of so many.
        nothing: the reason where there are none.
    """
    if n == 0:
        return Figure(None, n=0, reason=nothing)
    from scipy.stats import binomtest

    ends = binomtest(right, n).proportion_ci(method="wilson")
    return Figure(right / n, float(ends.low), float(ends.high), n)


def text(figure: Figure, signed: bool = False) -> str:
    """Return a figure as text: its value and interval, or a dash and the reason.

    >>> text(Figure(0.5, 0.41, 0.59)), text(Figure(None, reason="no gain")), text(Figure(-0.00001))
    ('0.500 [0.410, 0.590]', '– (no gain)', '0.000')
    """
    if figure.value is None:
        return f"– ({figure.reason})"
    return number(figure.value, signed) + ends(figure, signed)


def ends(figure: Figure, signed: bool = False, digits: int = 3) -> str:
    """Return a figure's interval as text, empty where it has none."""
    if figure.low is None or figure.high is None:
        return ""
    return f" [{number(figure.low, signed, digits)}, {number(figure.high, signed, digits)}]"


def number(value: float | None, signed: bool = False, digits: int = 3) -> str:
    """Return a number with that many decimals, a dash for None, and no "-0.000"."""
    if value is None:
        return "–"
    rounded = round(value, digits) + 0.0
    sign = "+" if signed and rounded else ""
    return f"{rounded:{sign}.{digits}f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """Return a p value as text.

    >>> p_value(0.03), p_value(0.00001), p_value(None)
    ('0.030', '<0.001', '–')
    """
    return "–" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
