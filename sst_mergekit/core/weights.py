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


def gain(
    coordinates: Tensor, rho: Tensor, cost: float, harm_slopes: Tensor | None, benign_slopes: Tensor | None
) -> Tensor:
    """Return what each direction of the patch is worth: relevance minus c times benign cost.

    To second order in the coordinate C, at rho = relevance per cost: relevance is the harm loss that
    comes back when the direction is taken out of the safety expert, ``rho C^2 / 2 - s_h C``; cost is the
    benign loss that comes when it is put into the utility expert, ``C^2 / 2 + s_b C``. The slopes s are
    the mean gradients in the same coordinates; None stands for zero (an expert at its optimum).
    """
    relevance, price = rho * coordinates.square() / 2, coordinates.square() / 2
    if harm_slopes is not None:
        relevance = relevance - harm_slopes * coordinates
    if benign_slopes is not None:
        price = price + benign_slopes * coordinates
    return relevance - cost * price


def shuffled(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Return the same weights dealt to random positions: a control without knowledge."""
    order = torch.randperm(weights.numel(), generator=generator)
    return weights.flatten()[order.to(weights.device)].view_as(weights)
