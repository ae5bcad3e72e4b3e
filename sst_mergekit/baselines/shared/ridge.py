"""Several models' statistics in float64 with the same ridge, in one unit: their mean eigenvalue."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def with_ridge(factors: Sequence[Tensor], damping: float) -> list[Tensor]:
    """Return each factor, dense [n, n] or diagonal [n], plus the same multiple of the identity, float64.

    The multiple is ``damping`` times the mean eigenvalue over all factors. Their sizes are not changed
    against each other: that one model's statistics are larger is what the methods weigh by.

    Raises:
        ValueError: a factor is not finite, or its trace is not above 0.
    """
    wide = [factor.to(torch.float64) for factor in factors]
    means = [float((f if f.ndim == 1 else f.diagonal()).mean()) for f in wide]
    for factor, mean in zip(wide, means, strict=True):
        if not bool(torch.isfinite(factor).all()) or not mean > 0:
            raise ValueError(f"the statistics have mean eigenvalue {mean:g}; expected finite and > 0")
    ridge = damping * sum(means) / len(means)
    return [_add(factor, ridge) for factor in wide]


def _add(factor: Tensor, ridge: float) -> Tensor:
    if factor.ndim == 1:
        return factor + ridge
    symmetric = 0.5 * (factor + factor.T)
    symmetric.diagonal().add_(ridge)
    return symmetric
