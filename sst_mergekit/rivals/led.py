"""LED-Merging (Ma et al. 2025, arXiv:2502.16770): Location, Election and Disjoint masks of task vectors.

Location: weights are scored by ``|w dL/dw|`` (SNIP) on a task's data, in the base and in the expert.
Election: of expert i's task vector those entries count that are among the top share r_i by both scores.
Disjoint: entries elected by several experts are taken from none. Merged: ``theta_0 + s sum_i l_i m_i t_i``.

Needs ``diagonal`` statistics of every expert and of the base model, both on that expert's data. Departs
from the paper in the score: diagonal statistics are means of squared gradients, so the score is
``|w| sqrt(E[g^2])``, the root mean square over samples where the paper has the mean of ``|w g|``.
Shares are of each tensor, as in the authors' code. A score of 0 is never elected.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

DENSITY = 0.5


def score(weight: Tensor, fisher: Tensor) -> Tensor:
    """Return ``|w| sqrt(F)``, float64, of a weight and its diagonal Fisher of the same shape."""
    return weight.to(torch.float64).abs() * fisher.to(torch.float64).sqrt()


def located(scores: Tensor, density: float) -> Tensor:
    """Return where the scores are among the largest ``int(density * n)``; ties at the threshold all are.

    Args:
        scores: any shape, >= 0.
        density: share r in (0, 1]; at least one entry is located.
    """
    count = max(1, int(density * scores.numel()))
    threshold = scores.flatten().kthvalue(scores.numel() - count + 1).values
    return (scores >= threshold) & (scores > 0)


def disjoint(elected: Sequence[Tensor]) -> list[Tensor]:
    """Return each mask without the entries that any other mask has."""
    counts = torch.stack([mask.to(torch.int64) for mask in elected]).sum(0)
    return [mask & (counts == 1) for mask in elected]


def led(
    vectors: Sequence[Tensor],
    scores: Sequence[tuple[Tensor, Tensor]],
    densities: Sequence[float],
    weights: Sequence[float],
) -> Tensor:
    """Return ``sum_i l_i m_i t_i``, float64.

    Args:
        vectors: task vectors t_i.
        scores: of each expert on its data: (the base model's, its own), of the vector's shape.
        densities: r_i in (0, 1].
        weights: l_i.
    """
    elected = [
        located(base, density) & located(own, density)
        for (base, own), density in zip(scores, densities, strict=True)
    ]
    total = torch.zeros_like(vectors[0], dtype=torch.float64)
    for vector, mask, weight in zip(vectors, disjoint(elected), weights, strict=True):
        total += weight * mask * vector.to(torch.float64)
    return total
