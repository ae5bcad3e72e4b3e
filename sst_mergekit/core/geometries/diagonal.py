"""Diagonal Fisher: every weight is a direction, ``rho = F_h / F_b`` elementwise.

The Fisher of Kirkpatrick et al. 2017 (arXiv:1612.00796); with ``soft`` and the patch
``theta_s - theta_u`` it is two-model Fisher merging (Matena & Raffel 2022, arXiv:2111.09832).
One side only, so ``separable`` and ``soft`` coincide.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sst_mergekit.core.factor import condition, mean_of
from sst_mergekit.core.geometry import Basis, Geometry, Statistics
from sst_mergekit.core.settings import FilterSettings

BLOCK, ROWS = 1 << 17, 16  # entries at a time; the rows of a transposed weight that share a line of cache
ZEROS = "the benign statistics hold zeros; set damping above 0"


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
        raise ValueError(ZEROS)
    root = denominator.sqrt()
    return Basis(
        sides=(kappa * numerator / denominator,),
        coordinates=lambda patch: patch.to(torch.float64).flatten() * root,
        back=lambda coordinates: (coordinates / root).view(shape),
    )


def elementwise(
    patch: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
) -> Tensor:
    """Return ``D rho / (rho + c)``, elementwise, in the patch's dtype.

    With the relevance h and the price b of an entry, both damped, that is ``D h / (h + (c / kappa) b)``;
    a block of entries at a time, so that what is in between stays in the processor's cache.

    Raises:
        ValueError: the statistics are not finite or all zero, or benign ones hold zeros without damping.
    """
    sides = harm["diagonal"], benign["diagonal"]
    scales = [1 / mean_of(side.flatten()) for side in sides]
    if settings.cost == 0:
        return patch
    price = settings.cost / kappa
    kept = torch.empty_like(patch)
    rows = max(ROWS, BLOCK // max(1, patch.shape[1]))
    damping = patch.new_tensor(settings.damping), patch.new_tensor(price * settings.damping)
    blocks = (tensor.split(rows) for tensor in (patch, kept, *sides))
    for block, out, relevance, cost in zip(*blocks, strict=True):
        h = torch.add(damping[0], relevance.to(patch.dtype), alpha=scales[0])
        b = torch.add(damping[1], cost.to(patch.dtype), alpha=price * scales[1])
        if settings.damping == 0 and not bool((b > 0).all()):
            raise ValueError(ZEROS)
        torch.div(h, b.add_(h), out=out).mul_(block)
    return kept


def quadratic(side: Statistics, patch: Tensor) -> float:
    """Return ``sum F D²``."""
    return float((side["diagonal"].to(torch.float64) * patch.to(torch.float64).square()).sum())


DIAGONAL = Geometry(
    "diagonal", ("diagonal",), basis, quadratic, {"separable": elementwise, "soft": elementwise}
)
