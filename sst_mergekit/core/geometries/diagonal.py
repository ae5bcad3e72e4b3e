"""Diagonal Fisher: every weight is a direction, ``rho = F_h / F_b`` elementwise.

The Fisher of Kirkpatrick et al. 2017 (arXiv:1612.00796); with ``soft`` and the patch
``theta_s - theta_u`` it is two-model Fisher merging (Matena & Raffel 2022, arXiv:2111.09832).
One side only, so ``separable`` and ``soft`` coincide.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sst_mergekit.core import weights
from sst_mergekit.core.factor import condition
from sst_mergekit.core.geometry import Geometry
from sst_mergekit.core.settings import FilterSettings


def apply(
    patch: Tensor,
    harm: Mapping[str, Tensor],
    benign: Mapping[str, Tensor],
    kappa: float,
    settings: FilterSettings,
) -> Tensor:
    """Return the filtered patch [d_out, d_in], float64, from ``diagonal`` statistics [d_out, d_in]."""
    eps = settings.damping
    numerator = condition(harm["diagonal"].flatten(), eps)
    denominator = condition(benign["diagonal"].flatten(), eps)
    if not bool((denominator > 0).all()):
        raise ValueError("the benign statistics hold zeros; set damping above 0")
    rho = kappa * numerator / denominator
    if settings.filter == "hard":
        weight = weights.hard(rho, settings.density)
    else:
        weight = weights.soft(rho, settings.cost)
    if settings.filter == "shuffled":
        weight = weights.shuffled(weight, torch.Generator().manual_seed(settings.seed))
    return patch.to(torch.float64) * weight.view_as(patch)


DIAGONAL = Geometry("diagonal", ("diagonal",), ("separable", "soft", "hard", "shuffled"), apply)
