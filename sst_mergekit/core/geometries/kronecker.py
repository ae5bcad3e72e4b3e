"""Kronecker-factored Fisher ``F = G (x) A`` (K-FAC, Martens & Grosse 2015, arXiv:1503.05671).

Both generalised eigenproblems are small: ``A_h u = mu A_b u`` and ``G_h p = nu G_b p``, and
``rho_ij = kappa nu_i mu_j``. With ``C = Pᵀ G_b D A_b U`` the patch is ``D = P C Uᵀ`` exactly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sst_mergekit.core import gevp
from sst_mergekit.core.factor import condition, multiply
from sst_mergekit.core.geometry import Basis, Geometry, Statistics
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.core.shrinking import shrink


def basis(harm: Statistics, benign: Statistics, kappa: float, damping: float) -> Basis:
    """Return the eigenbasis of a layer.

    Args:
        harm, benign: ``input`` A ([d_in, d_in] or diagonal [d_in]) and ``output`` G
            ([d_out, d_out] or diagonal [d_out]).
        kappa: balance of the layer, > 0; its square root goes into each side.
        damping: epsilon, in units of the mean eigenvalue.
    """
    left = condition(harm["output"], damping), condition(benign["output"], damping)
    right = condition(harm["input"], damping), condition(benign["input"], damping)
    nu, p = gevp.solve(*left)
    mu, u = gevp.solve(*right)
    root = math.sqrt(kappa)

    def coordinates(patch: Tensor) -> Tensor:
        return p.T @ multiply(left[1], multiply(right[1], patch.to(torch.float64).T).T) @ u

    return Basis(
        sides=(root * nu, root * mu),
        coordinates=coordinates,
        back=lambda coordinates: p @ coordinates @ u.T,
    )


def separable(
    patch: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
) -> Tensor:
    """Return ``L D R`` with ``L = (G_h + cG_b)^-1 G_h`` and ``R = A_h (A_h + cA_b)^-1``.

    Linear on each side, so it keeps the rank of the patch; two solves, no eigenvectors. c is
    ``sqrt(cost / kappa)``, the share of each side.
    """
    half = _side("output", patch, harm, benign, kappa, settings)
    return _side("input", half.T, harm, benign, kappa, settings).T


def separable_factors(
    left: Tensor,
    right: Tensor,
    harm: Statistics,
    benign: Statistics,
    kappa: float,
    settings: FilterSettings,
) -> tuple[Tensor, Tensor]:
    """Return ``(L B, A R)``: `separable` on the patch B A, from B [d_out, r] and A [r, d_in]."""
    left = _side("output", left, harm, benign, kappa, settings)
    return left, _side("input", right.T, harm, benign, kappa, settings).T


def _side(
    name: str, x: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
) -> Tensor:
    cost = math.sqrt(settings.cost / kappa)
    return shrink(harm[name], benign[name], x, cost, settings.damping)


def quadratic(side: Statistics, patch: Tensor) -> float:
    """Return ``<D, G D A>``."""
    left, right = (side[name].to(torch.float64) for name in ("output", "input"))
    patch = patch.to(torch.float64)
    return float((multiply(left, patch) * multiply(right, patch.T).T).sum())


KRONECKER = Geometry(
    "kronecker",
    ("input", "output"),
    basis,
    quadratic,
    {"separable": separable},
    {"separable": separable_factors},
)
