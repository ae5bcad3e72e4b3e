"""Tensors in and out of a rival: widened for the arithmetic, and back to what they came as."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from mergekit.merge_methods.base import TensorEntry
from torch import Tensor


def wide(entry: TensorEntry | None) -> Tensor:
    """Return a model's tensor in float64, in which the rivals compute."""
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
