"""The pair of an aligned and an unaligned model, of which one may be the base model."""

from __future__ import annotations

from collections.abc import Mapping

from mergekit.merge_methods.base import TensorEntry
from torch import Tensor

from sst_mergekit.plugin.rivals.tensors import difference

Models = Mapping[str, TensorEntry | None]


def aligned_of(models: Models) -> TensorEntry | None:
    """Return the aligned model: by role, else the base model."""
    return models["aligned"] or models["base"]


def pair_difference(models: Models) -> Tensor:
    """Return ``theta_aligned - theta_unaligned``, float64."""
    return difference(aligned_of(models), models["unaligned"] or models["base"])
