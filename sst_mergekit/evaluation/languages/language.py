"""What the refusal rule needs to know of one language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Language:
    """Patterns over text as `refusal.normal_form` leaves it: casefolded, plain quotes, no accents (ä is a).

    Attributes:
        complies: agreement, at the very start of the response.
        refuses: refusals, where a clause starts.
        turns: words for "but", which start a clause wherever they stand.
        joins: words for "and" and "so", which may follow the mark that starts a clause.
    """

    complies: tuple[str, ...]
    refuses: tuple[str, ...]
    turns: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()

    @cached_property
    def agreement(self) -> re.Pattern[str]:
        """Matches a text that opens with agreement."""
        return re.compile(any_of(self.complies))

    @cached_property
    def refusal(self) -> re.Pattern[str]:
        """Finds a refusal at the start of the text, or after a mark or a word that starts a clause."""
        word = rf"{any_of((*self.turns, *self.joins))},? ?" if self.turns or self.joins else ""
        turn = rf"|\b(?={any_of(self.turns)}\b)" if self.turns else ""
        start = rf"(?:\A|[.!?;,。、*\])-] ?[¡¿]?{turn})"
        return re.compile(start + (rf"(?:{word})?" if word else "") + any_of(self.refuses))


def any_of(patterns: tuple[str, ...]) -> str:
    """Return one pattern that matches where any of `patterns` does.

    >>> any_of(("yes", "no"))
    '(?:yes|no)'
    """
    return "(?:" + "|".join(patterns) + ")"
