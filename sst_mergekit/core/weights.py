"""Weights on directions of the patch, from their relevance per cost rho."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def soft(rho: Tensor, cost: float) -> Tensor:
    """Return ``rho / (rho + c)`` in [0, 1], elementwise; all ones at c = 0."""
    return torch.ones_like(rho) if cost == 0 else rho / (rho + cost)


def hard(score: Tensor, density: float) -> Tensor:
    """Return 1 for the ``ceil(density * n)`` largest scores and 0 elsewhere.

    Ties at the threshold are broken by position, so exactly that many are kept.
    """
    count = min(score.numel(), max(1, math.ceil(density * score.numel())))
    flat = torch.zeros(score.numel(), dtype=score.dtype, device=score.device)
    flat[score.flatten().topk(count).indices] = 1
    return flat.view_as(score)


def shuffled(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Return the same weights dealt to random positions: a control without knowledge."""
    order = torch.randperm(weights.numel(), generator=generator)
    return weights.flatten()[order.to(weights.device)].view_as(weights)
