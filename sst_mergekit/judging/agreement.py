"""How far two raters agree on the same answers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Agreement:
    """The 2 x 2 table of two raters' yes and no.

    Attributes:
        both: both say yes.
        first_only: the first says yes, the second no.
        second_only: the first says no, the second yes.
        neither: both say no.
    """

    both: int
    first_only: int
    second_only: int
    neither: int

    @property
    def n(self) -> int:
        """The answers rated by both."""
        return self.both + self.first_only + self.second_only + self.neither

    @property
    def observed(self) -> float | None:
        """The share on which both say the same; None without answers."""
        return (self.both + self.neither) / self.n if self.n else None

    @property
    def expected(self) -> float | None:
        """The share that two raters with these numbers of yes would share by chance."""
        if not self.n:
            return None
        first, second = self.both + self.first_only, self.both + self.second_only
        return (first * second + (self.n - first) * (self.n - second)) / self.n**2

    @property
    def kappa(self) -> float | None:
        """Cohen's (1960) kappa, (observed - expected) / (1 - expected).

        None without answers, and where both raters say one and the same of all: agreement by chance is
        then certain, and kappa undefined.
        """
        if self.observed is None or self.expected is None or self.expected == 1:
            return None
        return (self.observed - self.expected) / (1 - self.expected)

    @property
    def kappa_stderr(self) -> float | None:
        """Cohen's large-sample standard error, sqrt(o (1 - o) / n) / (1 - e); None where kappa is."""
        if self.kappa is None or self.observed is None or self.expected is None:
            return None
        return math.sqrt(self.observed * (1 - self.observed) / self.n) / (1 - self.expected)


def agreement(rated: Iterable[tuple[bool, bool]]) -> Agreement:
    """Return the table of the pairs (first rater's yes, second rater's yes).

    >>> agreement([(True, True), (True, False), (False, False), (False, False)]).kappa
    0.5
    """
    pairs = list(rated)
    cells = ((True, True), (True, False), (False, True), (False, False))
    return Agreement(*(pairs.count(cell) for cell in cells))
