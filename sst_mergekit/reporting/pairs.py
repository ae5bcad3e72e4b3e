"""The paired table: every difference between two methods, by seed, with Holm's p."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sst_mergekit.metrics.estimate import Estimate, around
from sst_mergekit.metrics.significance import by_seed
from sst_mergekit.reporting.results import Body

OURS = "SST-Merge"
METRICS = {
    "safety_score": "safety",
    "utility_score": "utility",
    "safety_tax": "safety tax",
    "hypervolume": "hypervolume",
}


@dataclass(frozen=True)
class Difference:
    """One method less another on one metric.

    Attributes:
        metric: its name.
        method, against: the two.
        difference: mean over the seeds on which both have the metric.
        won, pairs: seeds with a higher value, of so many.
        p, p_holm: of the paired t-test, and after Holm's correction over all pairs and metrics.
        effect: Cohen's d.
    """

    metric: str
    method: str
    against: str
    difference: Estimate
    won: int
    pairs: int
    p: float | None
    p_holm: float | None
    effect: float | None


def differences(body: Body) -> list[Difference]:
    """Return all pairs of a comparison, those with SST-Merge as SST-Merge less the other."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in body["results"]:
        rows.setdefault(row["method"], []).append(row)
    return [_difference(pair, rows) for pair in body["statistics"]["pairs"]]


def ours(found: list[Difference]) -> list[Difference]:
    """Return the pairs of SST-Merge."""
    return [pair for pair in found if pair.method == OURS]


def _difference(pair: Mapping[str, Any], rows: Mapping[str, list[Mapping[str, Any]]]) -> Difference:
    metric: str = pair["metric"]
    sign = -1 if pair["against"] == OURS else 1
    mine, other = (pair["method"], pair["against"])[::sign]
    nothing = Estimate(None, n=0, reason="no seed on which both have it")
    return Difference(
        metric=METRICS.get(metric, metric),
        method=mine,
        against=other,
        difference=around(sign * pair["mean"], pair["margin"], pair["pairs"]) if pair["pairs"] else nothing,
        won=sum(one > another for one, another in by_seed(metric, rows[mine], rows[other])),
        pairs=pair["pairs"],
        p=pair["p"],
        p_holm=pair["p_holm"],
        effect=None if pair["cohens_d"] is None else sign * pair["cohens_d"],
    )
