"""Diagonal Fisher: every weight is a direction, ``rho = F_h / F_b`` elementwise.

The Fisher of Kirkpatrick et al. 2017 (arXiv:1612.00796); with ``soft`` and the patch
``theta_s - theta_u`` it is two-model Fisher merging (Matena & Raffel 2022, arXiv:2111.09832).
One side only, so ``separable`` and ``soft`` coincide.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sst_mergekit.core import weights
from sst_mergekit.core.factor import condition
from sst_mergekit.core.geometry import Basis, Geometry, Statistics
from sst_mergekit.core.settings import FilterSettings


def basis(harm: Statistics, benign: Statistics, kappa: float, damping: float) -> Basis:
    """Return the trivial basis of a layer from ``diagonal`` statistics [d_out, d_in].

    Coordinates are the patch's entries times sqrt(F_b), flattened.

    Raises:
        ValueError: the benign statistics hold zeros and there is no damping.
    """
    shape = benign["diagonal"].shape
    numerator = condition(harm["diagonal"].flatten(), damping)
    denominator = condition(benign["diagonal"].flatten(), damping)
    if not bool((denominator > 0).all()):
        raise ValueError("the benign statistics hold zeros; set damping above 0")
    root = denominator.sqrt()
    return Basis(
        sides=(kappa * numerator / denominator,),
        coordinates=lambda patch: patch.to(torch.float64).flatten() * root,
        back=lambda coordinates: (coordinates / root).view(shape),
        slopes=lambda gradient: gradient.to(torch.float64).flatten() / root,
    )


def elementwise(
    patch: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
) -> Tensor:
    """Return ``D rho / (rho + c)``, elementwise."""
    (rho,) = basis(harm, benign, kappa, settings.damping).sides
    return patch.to(torch.float64) * weights.soft(rho, settings.cost).view_as(patch)


DIAGONAL = Geometry("diagonal", ("diagonal",), basis, {"separable": elementwise, "soft": elementwise})
