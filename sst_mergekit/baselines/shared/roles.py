"""Which roles a baseline's models play, and how many models may play each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sst_mergekit.errors import RecipeError

if TYPE_CHECKING:
    from mergekit.merge_methods.base import PerNonBase, TensorEntry, TensorGroup

PAIR = {"aligned": (0, 1), "unaligned": (0, 1)}


@dataclass(frozen=True)
class Roles:
    """The roles of one method: role -> (least, most) models.

    Attributes:
        counts: roles that are not in it the method does not take.
        pair: one of ``aligned`` and ``unaligned`` must be there; the other is then the base model.
    """

    counts: Mapping[str, tuple[int, int]]
    pair: bool = False

    def fault(self, method: str, found: Sequence[str]) -> str | None:
        """Return what is wrong with the roles found among a recipe's models, or None."""
        for role in dict.fromkeys(found):
            if role not in self.counts:
                return f"method {method} has no 'role: {role}'; it takes {', '.join(self.counts)}"
        for role, (least, most) in self.counts.items():
            number = found.count(role)
            if not least <= number <= most:
                wanted = f"exactly {least}" if least == most else f"{least} to {most}"
                return f"method {method} needs {wanted} of 'role: {role}', got {number}"
        if self.pair and "aligned" not in found and "unaligned" not in found:
            return (
                f"method {method} needs 'role: aligned' or 'role: unaligned' (or both; base_model is the "
                "one that is not given), got neither"
            )
        return None


def by_role(
    method: str, roles: Roles, group: TensorGroup, role: PerNonBase[str]
) -> dict[str, TensorEntry | None]:
    """Return the model of each role, and ``base``; None where a role may be left out.

    Raises:
        RecipeError: a role is missing, taken twice, or not the method's.
    """
    fault = roles.fault(method, [role[entry.id] for entry in group.non_base])
    if fault:
        raise RecipeError(f"models: {fault}")
    found = dict.fromkeys(roles.counts) | {role[entry.id]: entry for entry in group.non_base}
    return found | {"base": group.base}


def ordered(group: TensorGroup) -> list[TensorEntry]:
    """Return the models beside the base, in an order that is always the same."""
    return sorted(group.non_base, key=lambda entry: str(entry.id))
