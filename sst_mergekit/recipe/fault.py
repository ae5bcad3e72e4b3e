"""What a rule of the recipe check finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One finding: where it is, what is wrong and the next step; a warning does not stop a merge.

    >>> print(Fault("models[1].parameters.role", "got 'safty'"))
    models[1].parameters.role: got 'safty'
    """

    where: str
    what: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def first_and_count(names: Sequence[str]) -> str:
    """Return the first name and how many more there are.

    >>> first_and_count(["a", "b", "c"])
    'a and 2 more'
    """
    more = len(names) - 1
    return f"{names[0]} and {more} more" if more else names[0]
