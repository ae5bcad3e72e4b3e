"""The weighted mean of tensors, which several baselines fall back on."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def average(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return ``sum_i w_i T_i / sum_i w_i`` in float64.

    Raises:
        ValueError: a weight is negative or all are zero.
    """
    check_weights(weights)
    total = torch.zeros_like(tensors[0], dtype=torch.float64)
    for tensor, weight in zip(tensors, weights, strict=True):
        total += weight * tensor.to(torch.float64)
    return total / sum(weights)


def check_weights(weights: Sequence[float]) -> None:
    """Raise ValueError unless all weights are at least 0 and one is above."""
    if min(weights) < 0 or not sum(weights) > 0:
        raise ValueError(f"weight: got {[float(w) for w in weights]}, expected numbers >= 0, not all 0")
