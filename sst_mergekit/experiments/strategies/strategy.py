"""What a strategy is: a function of what was tried, with its scores, that says what is tried next.

The same past must give the same answer, so that a search which is started again, or runs in several
processes, asks for the units of work that are there already.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

S = TypeVar("S")  # what is known of settings once they are scored
Settings = dict[str, Any]
Seen = Sequence[tuple[Settings, S]]
Strategy = Callable[[Seen[S]], list[Settings]]  # nothing more: done


def listed(settings: Iterable[Settings]) -> Strategy[Any]:
    """Return the strategy that tries all of a list, at once.

    >>> listed([{"a": 1}, {"a": 2}])([({"a": 1}, None)])
    [{'a': 2}]
    """
    every = list(settings)

    def strategy(seen: Seen[Any]) -> list[Settings]:
        known = {canonical(tried) for tried, _ in seen}
        return [each for each in every if canonical(each) not in known]

    return strategy


def canonical(settings: Mapping[str, Any]) -> str:
    """Return the same text for the same settings, however they are ordered."""
    return json.dumps(settings, sort_keys=True, ensure_ascii=False)
