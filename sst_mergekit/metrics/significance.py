"""Two-sided tests of two sides on the same units, the size of their difference, and Holm's correction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sst_mergekit.metrics.estimate import t_interval

Column = NDArray[np.float64]
Rows = Sequence[Mapping[str, Any]]
Known = Sequence[float | None]


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
    mean, margin = t_interval(gaps)
    return Difference(mean, margin, _p(gaps), sum(gap > 0 for gap in gaps), len(gaps))


def _p(gaps: Sequence[float]) -> float | None:
    if len(gaps) < 2:
        return None
    if len(set(gaps)) == 1:
        return 1.0 if gaps[0] == 0 else 0.0
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(gaps, 0.0).pvalue)  # type: ignore[attr-defined]


def both_known(ours: Known, theirs: Known) -> list[tuple[float, float]]:
    """Return the pairs of which both sides are defined."""
    return [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]


def by_seed(metric: str, ours: Rows, theirs: Rows) -> list[tuple[float, float]]:
    """Return a metric of two methods on the seeds on which both have it."""
    others = {row["seed"]: row[metric] for row in theirs}
    return both_known([row[metric] for row in ours], [others.get(row["seed"]) for row in ours])


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values corrected for their number (Holm 1979), in the order given.

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.minimum(1.0, np.arange(len(order), 0, -1) * np.asarray(p_values)[order])
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted.tolist()


def all_pairs(methods: Mapping[str, Rows], metrics: Sequence[str]) -> dict[str, Any]:
    """Return the differences of all pairs of methods, paired by seed.

    A pair has the mean difference (method less against) with its 95 % margin, p of the paired t-test and
    of Welch's, Cohen's d, and both p's after Holm's correction over all pairs of all metrics. Seeds on
    which either has no figure are left out, and counted.
    """
    found = [
        _pair(metric, (ours, methods[ours]), (theirs, methods[theirs]))
        for metric in metrics
        for theirs, ours in itertools.combinations(methods, 2)
    ]
    for key in ("p", "p_welch"):
        tested = [pair for pair in found if pair[key] is not None]
        for pair, corrected in zip(tested, holm([pair[key] for pair in tested]), strict=True):
            pair[f"{key}_holm"] = corrected
    return {"correction": "Holm, over all pairs and metrics", "pairs": found}


def _pair(metric: str, ours: tuple[str, Rows], theirs: tuple[str, Rows]) -> dict[str, Any]:
    both = by_seed(metric, ours[1], theirs[1])
    body = {"metric": metric, "method": ours[0], "against": theirs[0]}
    body |= {"seeds_left_out": len(ours[1]) - len(both)}
    if not both:
        nothing = dict.fromkeys(("mean", "margin", "p", "p_welch", "cohens_d", "p_holm", "p_welch_holm"))
        return body | nothing | {"won": 0, "pairs": 0}
    left, right = np.array(both).T
    return body | {
        **asdict(paired(*map(list, zip(*both, strict=True)))),
        "p_welch": welch(left, right),
        "cohens_d": cohens_d(left, right),
        "p_holm": None,
        "p_welch_holm": None,
    }


def mcnemar(ours: Column, theirs: Column) -> float:
    """Return the exact p of McNemar's test: are wins and losses, of 0/1 scores, as likely as each other?"""
    from scipy.stats import binomtest

    won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    return float(binomtest(won, won + lost).pvalue) if won + lost else 1.0


def t_test(difference: float, stderr: float | None, clusters: int) -> float | None:
    """Return p of a mean difference by Student's t with `clusters` - 1 degrees of freedom.

    With every prompt a cluster of its own this is the paired t-test. Without spread p is 1 for no
    difference, else 0; None where the standard error is unknown.
    """
    if stderr is None:
        return None
    if stderr == 0:
        return 1.0 if difference == 0 else 0.0
    from scipy.stats import t

    return float(2 * t.sf(abs(difference) / stderr, clusters - 1))


def welch(ours: Column, theirs: Column) -> float | None:
    """Return p of Welch's t-test, which takes the two runs as unpaired; None below two prompts."""
    if len(ours) < 2:
        return None
    one, other = ((side.mean(), side.std(ddof=1), len(side)) for side in (ours, theirs))
    if one[1] == other[1] == 0:
        return 1.0 if one[0] == other[0] else 0.0
    from scipy.stats import ttest_ind_from_stats

    return float(ttest_ind_from_stats(*one, *other, equal_var=False).pvalue)  # type: ignore[attr-defined]


def cohens_d(ours: Column, theirs: Column) -> float | None:
    """Return the difference of means in pooled standard deviations; None where nothing varies."""
    if len(ours) < 2:
        return None
    pooled = math.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 2)
    return float(ours.mean() - theirs.mean()) / pooled if pooled else None


def is_binary(values: NDArray[np.float64]) -> bool:
    """Return whether every score is 0 or 1."""
    return bool(np.isin(values, (0.0, 1.0)).all())
