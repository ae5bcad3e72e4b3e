"""Kronecker-factored Fisher ``F = G (x) A`` (K-FAC, Martens & Grosse 2015, arXiv:1503.05671).

Both generalised eigenproblems are small: ``A_h u = mu A_b u`` and ``G_h p = nu G_b p``, and
``rho_ij = kappa nu_i mu_j``. With ``C = Pᵀ G_b D A_b U`` the patch is ``D = P C Uᵀ`` exactly and
every filter is ``P (C * W) Uᵀ``.
"""

from __future__ import annotations

import math
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
    """Return the filtered patch [d_out, d_in], float64.

    Args:
        patch: D [d_out, d_in].
        harm, benign: ``input`` A ([d_in, d_in] or diagonal [d_in]) and ``output`` G
            ([d_out, d_out] or diagonal [d_out]).
        kappa: balance of the layer, > 0.
        settings: filter, cost, density, damping.
    """
    eps = settings.damping
    left = condition(harm["output"], eps), condition(benign["output"], eps)
    right = condition(harm["input"], eps), condition(benign["input"], eps)
    patch = patch.to(torch.float64)
    if settings.filter == "separable":
        return separable(patch, left, right, math.sqrt(settings.cost / kappa))
    return in_eigenbasis(patch, left, right, kappa, settings)


def separable(
    patch: Tensor, left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor], cost: float
) -> Tensor:
    """Return ``L D R`` with ``L = (G_h + cG_b)^-1 G_h`` and ``R = A_h (A_h + cA_b)^-1``.

    Linear on each side, so it keeps the rank of the patch; two solves, no eigenvectors.
    ``cost`` is c' = sqrt(c / kappa), the share of each side.
    """
    patch = shrink(*left, patch, cost)
    return shrink(*right, patch.T, cost).T


def factors(
    left: Tensor,
    right: Tensor,
    harm: Mapping[str, Tensor],
    benign: Mapping[str, Tensor],
    kappa: float,
    settings: FilterSettings,
) -> tuple[Tensor, Tensor]:
    """Return ``(L B, A R)``, float64: ``separable`` on the patch B A, from B [d_out, r] and A [r, d_in]."""
    eps, cost = settings.damping, math.sqrt(settings.cost / kappa)
    outputs = condition(harm["output"], eps), condition(benign["output"], eps)
    inputs = condition(harm["input"], eps), condition(benign["input"], eps)
    left, right = left.to(torch.float64), right.to(torch.float64)
    return shrink(*outputs, left, cost), shrink(*inputs, right.T, cost).T


def in_eigenbasis(
    patch: Tensor,
    left: tuple[Tensor, Tensor],
    right: tuple[Tensor, Tensor],
    kappa: float,
    settings: FilterSettings,
) -> Tensor:
    """Return ``P (C * W) Uᵀ`` for the weights W named by ``settings.filter``."""
    nu, p = gevp.solve(*left)
    mu, u = gevp.solve(*right)
    coordinates = p.T @ multiply(left[1], multiply(right[1], patch.T).T) @ u
    return p @ (coordinates * direction_weights(nu, mu, kappa, settings)) @ u.T


def direction_weights(nu: Tensor, mu: Tensor, kappa: float, settings: FilterSettings) -> Tensor:
    """Return W [d_out, d_in] from the spectra nu [d_out] and mu [d_in]."""
    rho = kappa * nu[:, None] * mu[None, :]
    if settings.filter == "soft":
        return weights.soft(rho, settings.cost)
    if settings.filter == "hard":
        return weights.hard(rho, settings.density)
    root, each = math.sqrt(kappa), math.sqrt(settings.cost)
    rows, columns = weights.soft(root * nu, each), weights.soft(root * mu, each)
    if settings.filter == "shuffled":
        generator = torch.Generator().manual_seed(settings.seed)
        rows, columns = weights.shuffled(rows, generator), weights.shuffled(columns, generator)
    return rows[:, None] * columns[None, :]


KRONECKER = Geometry(
    "kronecker",
    ("input", "output"),
    ("separable", "soft", "hard", "shuffled"),
    apply,
    keeps_rank=("separable",),
    factors=factors,
)
