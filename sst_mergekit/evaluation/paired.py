"""Paired differences over seeds: interval, exact test, and Holm's correction for many comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sst_mergekit.evaluation.tradeoff import interval


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs over pairs.

    Attributes:
        mean: of the differences.
        margin: half-width of the 95 % t-interval, None below two pairs.
        p: two-sided, of the paired t-test; None below two pairs, 1 where no pair differs.
        won: pairs in which ours is higher.
        pairs: their number.
    """

    mean: float
    margin: float | None
    p: float | None
    won: int
    pairs: int


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Return the difference between two methods on the same units (seeds).

    Raises:
        ValueError: not the same number of values, or none.
    """
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"pairs need as many values on both sides: {len(ours)} and {len(theirs)}")
    gaps = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean, margin = interval(gaps)
    return Difference(mean, margin, _p(gaps), sum(gap > 0 for gap in gaps), len(gaps))


def _p(gaps: Sequence[float]) -> float | None:
    if len(gaps) < 2:
        return None
    if len(set(gaps)) == 1:
        return 1.0 if gaps[0] == 0 else 0.0
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(gaps, 0.0).pvalue)  # type: ignore[attr-defined]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number (Holm 1979), in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
