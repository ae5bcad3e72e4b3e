"""What a merge did to each weight's patch: filtered, added whole or kept back; told when the merge ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor

from sst_mergekit.core.settings import MIN_COVERAGE
from sst_mergekit.errors import RecipeError

FILTERED, WHOLE, KEPT, EQUAL = "filtered", "whole", "kept", "equal"
_SAID = {
    FILTERED: "filtered",
    WHOLE: "added whole",
    KEPT: "kept as the utility expert's",
    EQUAL: "equal to the utility expert, for no patch changes them",
}


@dataclass
class Coverage:
    """The fate of every weight of a merge.

    Attributes:
        fates: weight -> what was done to its patch.
        energies: fate -> squared Frobenius norm of the patches, before any filter.
        least: the share of it that must be merged, or a warning is due.
    """

    fates: dict[str, str] = field(default_factory=dict)
    energies: dict[str, float] = field(default_factory=dict)
    least: float = MIN_COVERAGE

    @property
    def merged(self) -> int:
        """The number of weights that are not the utility expert's."""
        return sum(fate in (FILTERED, WHOLE) for fate in self.fates.values())

    @property
    def share(self) -> float | None:
        """The share of the patches' squared norm that was filtered or added whole; None without a patch."""
        total = sum(self.energies.values())
        return (self.energies.get(FILTERED, 0.0) + self.energies.get(WHOLE, 0.0)) / total if total else None

    def summary(self) -> str:
        """Return one line: how many weights met which fate, with their share of the patch's squared norm."""
        total = sum(self.energies.values()) or 1.0
        parts = []
        for fate, said in _SAID.items():
            count = list(self.fates.values()).count(fate)
            if count:
                share = self.energies.get(fate)
                of_norm = "" if share is None else f" ({share / total:.1%} of the patch's squared norm)"
                parts.append(f"{count} {said}{of_norm}")
        return f"{len(self.fates)} weights: {', '.join(parts)}."

    def require_change(self) -> None:
        """Raise RecipeError where every weight is the utility expert's: the merge merged nothing."""
        if self.fates and not self.merged:
            raise RecipeError(
                f"models: the merge is the utility expert, nothing was added ({self.summary()[:-1]}); "
                "is strength 0, the safety expert a copy, or no layer measured?"
            )

    def warning(self) -> str | None:
        """Return that too little of the patch was merged, or None."""
        if self.share is None or self.share >= self.least:
            return None
        names = [name for name, fate in self.fates.items() if fate == KEPT]
        return (
            f"min_coverage: {self.share:.2f} of the patch's squared norm is merged, {self.least:g} wanted; "
            f"left out: {names[0]} and {len(names) - 1} more. Measure them, or set 'on_missing: add'"
        )


_lock = threading.Lock()
_recording: list[Coverage] = []


@contextmanager
def recorded() -> Iterator[Coverage]:
    """Yield what is filled with the fates of all weights that are merged in this process meanwhile."""
    found = Coverage()
    _recording.append(found)
    try:
        yield found
    finally:
        _recording.remove(found)


def is_recorded() -> bool:
    """Return whether somebody will tell what a merge did."""
    return bool(_recording)


def note(name: str, fate: str, patch: Tensor | float = 0.0, least: float = MIN_COVERAGE) -> None:
    """Write down what was done to a weight's patch.

    Args:
        name: of the weight; one that is noted again keeps the fate that changes more.
        fate: FILTERED, WHOLE, KEPT or EQUAL.
        patch: the patch before any filter, or its squared norm.
        least: of the recipe, the share that must be merged.
    """
    if not _recording:
        return
    energy = float(patch.square().sum()) if isinstance(patch, Tensor) else patch
    with _lock:
        for each in _recording:
            old = each.fates.get(name, EQUAL)
            each.fates[name] = min(old, fate, key=list(_SAID).index)
            each.least = least
            if fate != EQUAL:
                each.energies[fate] = each.energies.get(fate, 0.0) + energy
