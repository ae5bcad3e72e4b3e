"""Who is who among the experts of an sst recipe, and whose statistics price whose patch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin.evidence import AllBut, Side, Source

Id = TypeVar("Id", bound=Hashable)


@dataclass(frozen=True)
class Cast(Generic[Id]):
    """The experts by role, in an order that is not the recipe's.

    Attributes:
        utility: those whose task vectors are added whole.
        patched: those whose patches are filtered: the safety experts, or all experts of equal standing.
    """

    utility: tuple[Id, ...]
    patched: tuple[Id, ...]

    def priced_by(self, expert: Id) -> tuple[Id, ...]:
        """Return the experts whose skill the patch of `expert` must not cost."""
        return self.utility or tuple(other for other in self.patched if other != expert)

    def price(self, expert: Id, fisher: Mapping[Id, str], weight: Mapping[Id, float]) -> Side:
        """Return the statistics that price the patch of `expert`.

        Raises:
            RecipeError: the recipe does not say where they are.
        """
        if self.utility:
            return sources(self.utility, fisher, weight)
        every = sources(self.patched, fisher, weight)
        return AllBut(every, every[self.patched.index(expert)])


def cast(roles: Mapping[Id, str]) -> Cast[Id]:
    """Return the experts by role.

    Raises:
        RecipeError: roles that do not go together.
    """
    found: dict[str, list[Id]] = {"utility": [], "safety": [], "expert": []}
    for expert in sorted(roles, key=str):
        found[roles[expert]].append(expert)
    counts = {role: len(experts) for role, experts in found.items()}
    patched = counts["utility"] >= 1 and counts["safety"] >= 1 and counts["expert"] == 0
    if not patched and counts["expert"] != len(roles):
        raise RecipeError(
            "models: method sst needs at least one 'role: utility' and one 'role: safety', "
            f"or 'role: expert' for every model; got {counts}"
        )
    return Cast(tuple(found["utility"]), tuple(found["safety"] or found["expert"]))


def sources(
    experts: Sequence[Id], fisher: Mapping[Id, str], weight: Mapping[Id, float] | None = None
) -> tuple[Source, ...]:
    """Return where the statistics of experts are, with the weights that they count with.

    Raises:
        RecipeError: the recipe does not say where they are.
    """
    for expert in experts:
        if not fisher[expert]:
            raise RecipeError(
                f"models: '{expert}' has no 'parameters.fisher'; "
                f"measure it with 'sst-mergekit fisher --model {expert}'"
            )
    return tuple(Source(fisher[expert], weight[expert] if weight else 1.0) for expert in experts)
