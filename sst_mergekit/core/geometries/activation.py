"""Activations alone, ``F = I (x) A``: the layer-wise Gauss-Newton, forward passes only.

A is the statistic of RegMean (Jin et al. 2023, arXiv:2212.09849). There is one side, so
``separable`` and ``soft`` coincide: ``D R`` with ``R = A_h (A_h + (c / kappa) A_b)^-1``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sst_mergekit.core import gevp
from sst_mergekit.core.factor import condition, multiply
from sst_mergekit.core.geometry import Basis, Geometry, Statistics
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.core.shrinking import shrink


def basis(harm: Statistics, benign: Statistics, kappa: float, damping: float) -> Basis:
    """Return the eigenbasis of a layer's inputs from ``input`` statistics A; every row has the same."""
    pair = condition(harm["input"], damping), condition(benign["input"], damping)
    mu, u = gevp.solve(*pair)
    return Basis(
        sides=(kappa * mu,),
        coordinates=lambda patch: multiply(pair[1], patch.to(torch.float64).T).T @ u,
        back=lambda coordinates: coordinates @ u.T,
    )


def one_sided(
    patch: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
) -> Tensor:
    """Return ``D R``: one solve, no eigenvectors, and the patch's rank is kept."""
    return shrink(harm["input"], benign["input"], patch.T, settings.cost / kappa, settings.damping).T


def one_sided_factors(
    left: Tensor,
    right: Tensor,
    harm: Statistics,
    benign: Statistics,
    kappa: float,
    settings: FilterSettings,
) -> tuple[Tensor, Tensor]:
    """Return ``(B, A R)``: the filtered patch B A, from B [d_out, r] and A [r, d_in]."""
    return left, one_sided(right, harm, benign, kappa, settings)


def quadratic(side: Statistics, patch: Tensor) -> float:
    """Return ``<D, D A>``."""
    patch = patch.to(torch.float64)
    return float((patch * multiply(side["input"].to(torch.float64), patch.T).T).sum())


ACTIVATION = Geometry(
    "activation",
    ("input",),
    basis,
    quadratic,
    {"separable": one_sided, "soft": one_sided},
    {"separable": one_sided_factors, "soft": one_sided_factors},
    one_sided=True,
)
