"""What a baseline makes its mergekit method with: the decorator, the types and the random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract
from mergekit.merge_methods.base import PerNonBase as PerNonBase
from mergekit.merge_methods.base import TensorGroup as TensorGroup
from mergekit.merge_methods.easy_define import merge_method
from pydantic import AfterValidator

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Damping as Damping
from sst_mergekit.plugin.parameters import Density as Density
from sst_mergekit.plugin.parameters import OnMissing as OnMissing
from sst_mergekit.plugin.parameters import Strength as Strength
from sst_mergekit.plugin.parameters import Weight as Weight
from sst_mergekit.plugin.parameters import choice as choice
from sst_mergekit.plugin.parameters import number
from sst_mergekit.plugin.patching import seed_of

ROLES = ("utility", "safety", "aligned", "unaligned")


def share(name: str) -> AfterValidator:
    """Return a validator of a parameter that takes shares."""
    return number(name, "a share in [0, 1]", lambda x: 0 <= x <= 1)


def not_negative(name: str, expected: str = "a number") -> AfterValidator:
    """Return a validator of a parameter that takes numbers from 0 on."""
    return number(name, f"{expected} >= 0", lambda x: x >= 0)


Role = Annotated[str, choice("role", ROLES)]
OrAverage = Annotated[str, choice("on_missing", ("error", "average"))]
Share = Annotated[float, share("strength")]
Threshold = Annotated[float, number("threshold", "a cosine in [-1, 1]", lambda x: -1 <= x <= 1)]
Drop = Annotated[float, number("drop", "a share in [0, 1)", lambda x: 0 <= x < 1)]
Rank = Annotated[int, not_negative("rank", "a whole number")]


def generator(seed: int, group: TensorGroup, *names: str) -> torch.Generator:
    """Return random numbers of a tensor's own (and of what else is named), the same in every process."""
    return torch.Generator().manual_seed(seed_of(seed, group.metadata.name or "", *names))


def hosted(
    name: str, pretty_name: str, paper: str | None, models: int, base: bool = True
) -> Callable[[Callable[..., torch.Tensor]], object]:
    """Return a decorator that makes a function mergekit's method, of results that are finite.

    Args:
        name: in a recipe.
        pretty_name: for people.
        paper: its number on arXiv.
        models: how many there must be beside the base, at least.
        base: whether there must be a base model.
    """
    contract = InputContract(base=BasePolicy.REQUIRED if base else BasePolicy.OPTIONAL, min_non_base=models)
    url = f"https://arxiv.org/abs/{paper}" if paper else None

    def make(function: Callable[..., torch.Tensor]) -> object:
        return merge_method(
            finite(function), name=name, pretty_name=pretty_name, reference_url=url, contract=contract
        )

    return make
