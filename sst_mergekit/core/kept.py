"""What a filter keeps of one patch: its norm, its benign cost, its relevance, and the spectrum behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometry import Geometry, Statistics
from sst_mergekit.core.settings import FilterSettings

QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Kept:
    """Shares of the whole patch, each in 0..1 for a filter that only shrinks.

    Attributes:
        norm: Frobenius norm.
        cost: ``D F_b D``, what the benign Fisher prices.
        relevance: ``D F_h D``, what the harm Fisher asks for.
        spectrum: relevance per cost rho at `QUANTILES` of the directions.
    """

    norm: float
    cost: float
    relevance: float
    spectrum: tuple[float, ...]


def kept(
    geometry: Geometry,
    patch: Tensor,
    harm: Statistics,
    benign: Statistics,
    kappa: float,
    settings: FilterSettings,
) -> Kept:
    """Return what a filter keeps of a patch [d_out, d_in] that is not zero; arguments as `filter_patch`."""
    patch = patch.double()
    filtered = filter_patch(geometry, patch, harm, benign, kappa, settings)
    basis = geometry.basis(harm, benign, kappa, settings.damping)
    before, after = basis.coordinates(patch).square(), basis.coordinates(filtered).square()
    rho = basis.rho
    places = [round(level * (rho.numel() - 1)) for level in QUANTILES]
    ordered = np.partition(rho.flatten().cpu().numpy(), places)
    return Kept(
        norm=float(filtered.norm() / patch.norm()),
        cost=_ratio(after.sum(), before.sum()),
        relevance=_ratio((rho * after).sum(), (rho * before).sum()),
        spectrum=tuple(ordered[places].tolist()),
    )


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part / whole) if float(whole) > 0 else 0.0
