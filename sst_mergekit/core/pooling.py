"""One layer's statistics of several experts, pooled into one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sst_mergekit.core import truncated
from sst_mergekit.core.factor import dense
from sst_mergekit.core.geometry import FACTORS, Statistics, mean_eigenvalue

Weighted = Sequence[tuple[float, Statistics]]


def pool(found: Weighted) -> dict[str, Tensor]:
    """Return the weighted sum of several experts' statistics of one layer, each Fisher at mean eigenvalue 1.

    Exact for the diagonal, the activation and the subspace geometry; Kronecker factors are summed side by
    side, the usual approximation of a sum of Kronecker products.

    Args:
        found: (weight, statistics) with weights that sum to 1 and the same names in each.

    Raises:
        ValueError: the experts were measured in different bases.
    """
    return {name: _RULES.get(name, _factors)(name, found) for name in found[0][1]}


def _sum(name: str, found: Weighted) -> Tensor:
    total = torch.zeros_like(found[0][1][name], dtype=torch.float64)
    for weight, each in found:
        total.add_(each[name].to(torch.float64), alpha=weight)
    return total


def _factors(name: str, found: Weighted) -> Tensor:
    """Return the sum of factors or diagonals, each at mean eigenvalue 1.

    Truncated factors keep all their directions; where only some experts' are truncated, all become dense.
    """
    scaled = [(weight / mean_eigenvalue(name, each[name]), each) for weight, each in found]
    short = [name in FACTORS and truncated.is_truncated(each[name]) for _, each in scaled]
    if all(short):
        return truncated.added([(weight, each[name].to(torch.float64)) for weight, each in scaled])
    if any(short):
        scaled = [(weight, {name: dense(each[name].to(torch.float64))}) for weight, each in scaled]
    return _sum(name, scaled)


def _scores(name: str, found: Weighted) -> Tensor:
    """Return the scores of all experts below one another, scaled so that their Fishers have one mean."""
    parts = []
    for weight, each in found:
        scores = each[name].to(torch.float64)
        parts.append(scores * math.sqrt(weight / mean_eigenvalue(name, scores)))
    return torch.cat(parts)


def _same(name: str, found: Weighted) -> Tensor:
    first = found[0][1][name]
    if any(not torch.equal(each[name], first) for _, each in found):
        raise ValueError("the experts' statistics were measured in different bases; measure them in one")
    return first


_RULES: dict[str, Callable[[str, Weighted], Tensor]] = {
    "scores": _scores,
    "left": _same,
    "right": _same,
}
