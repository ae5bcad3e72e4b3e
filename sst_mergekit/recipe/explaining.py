"""Naming what a merge tripped over: the fault of the recipe, which nobody had asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from sst_mergekit.errors import RecipeError, one_line
from sst_mergekit.recipe.fault import Fault


@contextlib.contextmanager
def explained(check: Callable[[], list[Fault]]) -> Iterator[None]:
    """Raise the recipe's faults, if it has any, where the block fails by what is no error of ours.

    For merges without a check before them: what mergekit then stumbles over has a name here.

    Raises:
        RecipeError: the recipe has faults.
    """
    try:
        yield
    except Exception as error:
        if one_line(error) is None:
            faults = [str(fault) for fault in check() if not fault.warning]
            if faults:
                raise RecipeError("; ".join(faults)) from error
        raise
