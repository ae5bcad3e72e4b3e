"""The paired table: every difference between two methods, by seed, with Holm's p."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sst_mergekit.metrics.estimate import Estimate, around
from sst_mergekit.metrics.significance import both_known
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
    values = {(row["method"], row["seed"]): row for row in body["results"]}
    seeds = sorted({seed for _, seed in values})
    return [_difference(pair, values, seeds) for pair in body["statistics"]["pairs"]]


def ours(found: list[Difference]) -> list[Difference]:
    """Return the pairs of SST-Merge."""
    return [pair for pair in found if pair.method == OURS]


def _difference(
    pair: Mapping[str, Any], values: Mapping[tuple[str, int], Mapping[str, Any]], seeds: list[int]
) -> Difference:
    metric: str = pair["metric"]
    turned = pair["against"] == OURS
    method, against = (pair["against"], pair["method"]) if turned else (pair["method"], pair["against"])
    sign = -1 if turned else 1
    sides = [[values[name, seed][metric] for seed in seeds] for name in (method, against)]
    effect = pair["cohens_d"]
    return Difference(
        metric=METRICS.get(metric, metric),
        method=method,
        against=against,
        difference=_figure(pair, sign),
        won=sum(mine > theirs for mine, theirs in both_known(*sides)),
        pairs=pair["pairs"],
        p=pair["p"],
        p_holm=pair["p_holm"],
        effect=None if effect is None else sign * effect,
    )


def _figure(pair: Mapping[str, Any], sign: int) -> Estimate:
    if pair["mean"] is None:
        return Estimate(None, n=0, reason="no seed on which both have it")
    return around(sign * pair["mean"], pair["margin"], pair["pairs"])
