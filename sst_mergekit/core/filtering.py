"""Filtering one patch: directions from the geometry, a weight on each, and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sst_mergekit.core import weights
from sst_mergekit.core.controls import CONTROLS, at_norm_of
from sst_mergekit.core.geometries.diagonal import DIAGONAL
from sst_mergekit.core.geometry import Basis, Filter, Geometry, Statistics
from sst_mergekit.core.settings import FilterSettings


def filter_patch(
    geometry: Geometry,
    patch: Tensor,
    harm: Statistics,
    benign: Statistics,
    kappa: float,
    settings: FilterSettings,
) -> Tensor:
    """Return the filtered patch [d_out, d_in], float64.

    Args:
        geometry: the form of the Fisher matrices.
        patch: [d_out, d_in].
        harm, benign: the layer's statistics by name, what ``geometry.needs``.
        kappa: balance of the layer, > 0.
        settings: filter, cost, density, damping, seed.

    Raises:
        ValueError: the statistics cannot be used (not finite, rank deficient without damping).

    A direction that costs as much benign skill as it carries refusal keeps w(1) = 1 / (1 + c):

    >>> from sst_mergekit.core.geometries import GEOMETRIES
    >>> one = {"diagonal": torch.ones(2, 2)}
    >>> filter_patch(GEOMETRIES["diagonal"], torch.ones(2, 2), one, one, 1.0, FilterSettings(cost=1.0))
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    kept = _form(geometry, settings.filter)(patch, harm, benign, kappa, settings)
    if not bool(torch.isfinite(kept.sum())) and not bool(torch.isfinite(kept).all()):
        raise ValueError(
            f"the filtered patch is not finite in {str(kept.dtype).removeprefix('torch.')}: patch or "
            "statistics hold numbers too large or too far apart; measure again, or raise damping"
        )
    return kept


def _form(geometry: Geometry, name: str) -> Filter:
    """Return a filter by its name: in closed form where the geometry has one, else in its basis."""
    closed = geometry.closed.get(name)
    if closed is not None:
        return closed
    if name not in CONTROLS:
        return _in_basis(geometry, name)
    real = _form(geometry, "separable")

    def control(
        patch: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
    ) -> Tensor:
        chosen = CONTROLS[name](patch.to(torch.float64), settings)
        return at_norm_of(chosen, real(patch, harm, benign, kappa, settings))

    return control


def data_free(patch: Tensor, utility: Tensor, settings: FilterSettings) -> Tensor:
    """Return the patch filtered without statistics: ``rho = patch^2 / utility^2``, elementwise.

    The square of a task vector stands for its Fisher: what training moved is what it needed. Each is scaled
    to mean 1 and damped like a diagonal Fisher.

    Args:
        patch: [any shape].
        utility: the utility expert's task vector, of the same shape.
    """
    if not (bool(utility.any()) and bool(patch.any())):
        return patch.to(torch.float64)
    shape, rows = patch.shape, patch.reshape(len(patch), -1)
    harm = {"diagonal": rows.to(torch.float64).square()}
    benign = {"diagonal": utility.reshape(rows.shape).to(torch.float64).square()}
    return DIAGONAL.closed["soft"](rows, harm, benign, 1.0, settings).view(shape)


def _in_basis(geometry: Geometry, name: str) -> Filter:
    def apply(
        patch: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
    ) -> Tensor:
        basis = geometry.basis(harm, benign, kappa, settings.damping)
        coordinates = basis.coordinates(patch)
        if name == "hard":
            return basis.back(coordinates * weights.hard(basis.rho, settings.density))
        return basis.back(coordinates * direction_weights(basis, name, settings))

    return apply


def direction_weights(basis: Basis, name: str, settings: FilterSettings) -> Tensor:
    """Return the weights of filter ``separable``, ``soft`` or ``shuffled``; they broadcast like rho."""
    if name == "soft":
        return weights.soft(basis.rho, settings.cost)
    share = settings.cost ** (1 / len(basis.sides))  # `cost` is the product over the sides
    sides = [weights.soft(side, share) for side in basis.sides]
    if name == "shuffled":
        generator = torch.Generator().manual_seed(settings.seed)
        sides = [weights.shuffled(side, generator) for side in sides]
    return math.prod((side[:, None] if i < len(sides) - 1 else side for i, side in enumerate(sides)), start=1)  # type: ignore[return-value]
