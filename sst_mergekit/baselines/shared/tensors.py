"""Tensors in and out of a baseline: widened for the arithmetic, and back to what they came as."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mergekit.merge_methods.base import TensorEntry


def wide(entry: TensorEntry | None) -> Tensor:
    """Return a model's tensor in float64, in which the baselines compute."""
    assert entry is not None, "the roles were checked"  # noqa: S101
    return entry.tensor.to(torch.float64)


def difference(one: TensorEntry | None, other: TensorEntry | None) -> Tensor:
    """Return one model's tensor minus another's, float64."""
    return wide(one) - wide(other)


def result_dtype(entries: Sequence[TensorEntry]) -> torch.dtype:
    """Return the dtype that holds all the models' tensors, whatever their order."""
    return functools.reduce(torch.promote_types, (entry.tensor.dtype for entry in entries))


def all_equal(entries: Sequence[TensorEntry]) -> bool:
    """Return whether all models hold the same tensor."""
    return all(torch.equal(entry.tensor, entries[0].tensor) for entry in entries[1:])


Models = Mapping[str, "TensorEntry | None"]


def aligned_of(models: Models) -> TensorEntry | None:
    """Return the aligned model of a pair: by role, else the base model."""
    return models["aligned"] or models["base"]


def pair_difference(models: Models) -> Tensor:
    """Return ``theta_aligned - theta_unaligned``, float64; one of them may be the base model."""
    return difference(aligned_of(models), models["unaligned"] or models["base"])


def cosine(one: Tensor, other: Tensor) -> float:
    """Return the cosine similarity of two tensors seen as vectors; 0 if one of them is zero."""
    norms = float(torch.linalg.norm(one)) * float(torch.linalg.norm(other))
    return float((one * other).sum()) / norms if norms > 0 else 0.0
