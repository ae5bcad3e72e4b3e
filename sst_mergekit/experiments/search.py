"""The one loop of every search: a strategy proposes settings, their units are made, it is asked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

from sst_mergekit.experiments.strategies.strategy import S, Seen, Settings, Strategy
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.unit import Unit


@dataclass(frozen=True)
class Search(Generic[S]):
    """What is searched, and how.

    Attributes:
        strategy: what is tried next.
        unit: settings -> the unit of work that scores them on the development split.
        scores: what is known from its result.
        seen: what was tried before.
    """

    strategy: Strategy[S]
    unit: Callable[[Settings], Unit]
    scores: Callable[[Path], S]
    seen: Seen[S] = ()

    @property
    def first(self) -> list[Unit]:
        """Return the units that are known before any score."""
        return [self.unit(settings) for settings in self.strategy(self.seen)]


def searched(label: str, searches: Sequence[Search[S]], runner: Runner) -> list[list[tuple[Settings, S]]]:
    """Return what each search has tried, in order, when no strategy proposes more.

    All that is proposed at a time is made together. What was made before, or another process makes
    meanwhile, is not made again.
    """
    seen = [list(search.seen) for search in searches]
    count = 0
    while True:
        new = [
            (search, of, settings)
            for search, of in zip(searches, seen, strict=True)
            for settings in search.strategy(of)
        ]
        if not new:
            return seen
        units = [search.unit(settings) for search, _, settings in new]
        paths = runner.make(f"{label}, from setting {count + 1}", units)
        count += len(new)
        for (search, of, settings), path in zip(new, paths, strict=True):
            of.append((settings, search.scores(path)))
