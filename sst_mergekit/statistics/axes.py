"""The coordinates in which ``ekfac`` and ``subspace`` statistics are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sst_mergekit.core import gevp
from sst_mergekit.core.geometries.kronecker import factors
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.kinds.kind import Axes
from sst_mergekit.statistics.store import open_statistics, require_one_form


@dataclass(frozen=True)
class AxesSource:
    """Where coordinates come from: what reads them, when it is time, and what the manifest says of them."""

    read: Callable[[], Mapping[str, Axes]]
    about: Mapping[str, Any]


def joint_basis(harm: str, benign: str, damping: float) -> dict[str, Axes]:
    """Return each layer's eigenbasis (P, U) of two sets of Kronecker statistics, in float32.

    Layers with a diagonal factor (embedding, output head) have none: their basis is the identity already.

    Args:
        harm, benign: directories or Hub repositories of Kronecker statistics.
        damping: epsilon, as the merge will use it.

    Raises:
        StatisticsError: statistics that cannot be read, of different models, or in different forms.
    """
    stores = open_statistics(harm), open_statistics(benign)
    require_one_form(stores)
    found = {}
    for name, record in stores[0].manifest.layers.items():
        other = stores[1].find(name)
        if other is None or other.shape != record.shape:
            raise StatisticsError(f"{name}: in {harm}, but not of this shape in {benign}; measure one model")
        sides = (
            stores[0].tensors(record, ("input", "output")),
            stores[1].tensors(other, ("input", "output")),
        )
        if any(tensor.ndim == 1 for side in sides for tensor in side.values()):
            continue
        try:
            left, right = (gevp.solve(*pair).vectors.to(torch.float32) for pair in factors(*sides, damping))
        except ValueError as error:
            raise StatisticsError(f"{name}: {error} ({harm}, {benign})") from None
        found[name] = Axes(left, right)
    return found


def patch_axes(patches: Iterable[tuple[str, Tensor, bool]], rank: int) -> Mapping[str, Axes]:
    """Return each layer's singular coordinates of a patch, as many as it has up to `rank`, in float32.

    Args:
        patches: (weight's name, D, whether D is as the checkpoint stores it, not [d_out, d_in]), one at a
            time; zero patches are left out.
        rank: the most directions a layer.
    """
    found = {}
    for name, patch, stored in patches:
        u, s, vh = torch.linalg.svd(patch.to(torch.float64), full_matrices=False)
        if float(s[0]) == 0:
            continue
        tiny = float(s[0]) * max(patch.shape) * torch.finfo(torch.float32).eps
        count = min(rank, int((s > tiny).sum()))
        left, right = u[:, :count].to(torch.float32), vh[:count].T.contiguous().to(torch.float32)
        found[name] = Axes(left.contiguous(), right, stored)
    return found
