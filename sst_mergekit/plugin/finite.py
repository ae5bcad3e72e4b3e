"""A merged weight is finite, or the merge says which one is not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import torch
from mergekit.merge_methods.base import TensorGroup

from sst_mergekit.errors import RecipeError

Method = TypeVar("Method", bound=Callable[..., torch.Tensor])


def finite(method: Method) -> Method:
    """Return a merge method that raises RecipeError where its result holds NaN or infinity.

    Such numbers come from the weights that are merged, or from a result too large for its dtype.
    """

    @functools.wraps(method)
    def checked(group: TensorGroup, *args: object, **kwargs: object) -> torch.Tensor:
        result = method(group, *args, **kwargs)
        if not is_finite(result):
            name = group.metadata.name or "a weight"
            raise RecipeError(
                f"{name}: the merged weight is not finite in {str(result.dtype).removeprefix('torch.')}; "
                "are the models' weights finite? If so use 'dtype: float32' or less strength"
            )
        return result

    return checked  # type: ignore[return-value]


def is_finite(tensor: torch.Tensor) -> bool:
    """Return whether all numbers are finite; one pass where they are."""
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32))) or bool(torch.isfinite(tensor).all())
