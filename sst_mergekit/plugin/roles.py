"""Who is who among the experts of an sst recipe, and where their statistics are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sst_mergekit.errors import RecipeError

Id = TypeVar("Id")


def by_role(roles: Mapping[Id, str]) -> tuple[Id, list[Id]]:
    """Return the utility expert and the safety experts, in an order that is always the same.

    Raises:
        RecipeError: not exactly one utility expert, or no safety expert.
    """
    found: dict[str, list[Id]] = {"utility": [], "safety": []}
    for expert, role in roles.items():
        found[role].append(expert)
    if len(found["utility"]) != 1 or not found["safety"]:
        counts = {name: len(experts) for name, experts in found.items()}
        raise RecipeError(
            f"models: method sst needs one 'role: utility' and at least one 'role: safety', got {counts}"
        )
    return found["utility"][0], sorted(found["safety"], key=str)


def statistics_of(expert: Id, fisher: Mapping[Id, str]) -> str:
    """Return where the statistics of an expert are.

    Raises:
        RecipeError: the recipe does not say.
    """
    source = fisher[expert]
    if not source:
        raise RecipeError(
            f"models: '{expert}' has no 'parameters.fisher'; "
            f"measure it with 'sst-mergekit fisher --model {expert}'"
        )
    return source
