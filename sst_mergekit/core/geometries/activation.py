"""Activations alone, ``F = I (x) A``: the layer-wise Gauss-Newton, forward passes only.

A is the statistic of RegMean (Jin et al. 2023, arXiv:2212.09849). There is one side, so
``separable`` and ``soft`` coincide: ``D R`` with ``R = A_h (A_h + (c / kappa) A_b)^-1``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sst_mergekit.core import gevp, weights
from sst_mergekit.core.factor import condition, multiply, shrink
from sst_mergekit.core.geometry import Geometry
from sst_mergekit.core.settings import FilterSettings


def apply(
    patch: Tensor,
    harm: Mapping[str, Tensor],
    benign: Mapping[str, Tensor],
    kappa: float,
    settings: FilterSettings,
) -> Tensor:
    """Return the filtered patch [d_out, d_in], float64, from ``input`` statistics A alone."""
    pair = condition(harm["input"], settings.damping), condition(benign["input"], settings.damping)
    patch = patch.to(torch.float64)
    if settings.filter in ("separable", "soft"):
        return shrink(*pair, patch.T, settings.cost / kappa).T
    mu, u = gevp.solve(*pair)
    if settings.filter == "hard":
        weight = weights.hard(mu, settings.density)
    else:
        generator = torch.Generator().manual_seed(settings.seed)
        weight = weights.shuffled(weights.soft(kappa * mu, settings.cost), generator)
    return multiply(pair[1], patch.T).T @ u @ (weight[:, None] * u.T)


def factors(
    left: Tensor,
    right: Tensor,
    harm: Mapping[str, Tensor],
    benign: Mapping[str, Tensor],
    kappa: float,
    settings: FilterSettings,
) -> tuple[Tensor, Tensor]:
    """Return ``(B, A R)``, float64: the filtered patch B A, from B [d_out, r] and A [r, d_in]."""
    pair = condition(harm["input"], settings.damping), condition(benign["input"], settings.damping)
    right = right.to(torch.float64)
    return left.to(torch.float64), shrink(*pair, right.T, settings.cost / kappa).T


ACTIVATION = Geometry(
    "activation",
    ("input",),
    ("separable", "soft", "hard", "shuffled"),
    apply,
    keeps_rank=("separable", "soft"),
    factors=factors,
)
