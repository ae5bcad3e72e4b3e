"""Subspaces chosen without statistics, at the norm of the real filter's result: the controls.

A filter also makes the patch smaller, and a smaller patch alone can look good. Each control keeps as much
norm as the separable filter would and knows nothing of harm and skill.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sst_mergekit.core import weights
from sst_mergekit.core.settings import FilterSettings


def random(patch: Tensor, settings: FilterSettings) -> Tensor:
    """Return the patch [d_out, d_in] projected on a random subspace of `density` of its inputs."""
    inputs = patch.shape[1]
    count = max(1, math.ceil(settings.density * inputs))
    generator = torch.Generator().manual_seed(settings.seed)
    drawn = torch.randn(inputs, count, generator=generator, dtype=torch.float64).to(patch.device)
    basis = torch.linalg.qr(drawn).Q
    return patch @ basis @ basis.T


def magnitude(patch: Tensor, settings: FilterSettings) -> Tensor:
    """Return the `density` share of the patch's entries that are largest in magnitude."""
    return patch * weights.hard(patch.abs(), settings.density)


def svd(patch: Tensor, settings: FilterSettings) -> Tensor:
    """Return the patch's top singular directions, `density` of its numerical rank."""
    u, s, vh = torch.linalg.svd(patch, full_matrices=False)
    rank = int((s > s[0] * max(patch.shape) * torch.finfo(s.dtype).eps).sum())
    count = max(1, math.ceil(settings.density * rank))
    return (u[:, :count] * s[:count]) @ vh[:count]


CONTROLS = {"random": random, "magnitude": magnitude, "svd": svd}


def at_norm_of(chosen: Tensor, filtered: Tensor) -> Tensor:
    """Return `chosen` scaled to the Frobenius norm of `filtered`; zeros stay zeros."""
    norm = chosen.norm()
    return chosen * (filtered.norm() / norm) if float(norm) > 0 else chosen
