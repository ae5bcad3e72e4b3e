"""Which settings come next: a grid, at random, or by one of Optuna's multi-objective samplers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.sweeping.space import Parameter, Settings, canonical, grid, size

SAMPLERS = ("grid", "random", "tpe", "nsga2")
TRIES = 100  # draws in search of settings that were not asked before
STEP = 1_000_003  # between the seeds of two draws


@dataclass(frozen=True)
class Asked:
    """Settings that were asked before.

    Attributes:
        settings: by parameter.
        scores: (safety, utility), or None while they are being scored.
        notes: what the sampler wants to remember.
    """

    settings: Settings
    scores: tuple[float, float] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def propose(sampler: str, space: Sequence[Parameter], asked: Sequence[Asked], seed: int) -> Asked | None:
    """Return settings that are not among `asked`, or None where there are no others.

    Args:
        sampler: one of ``SAMPLERS``.
        space: what may be chosen.
        asked: all settings before, in order: with the seed, the whole state of the search.
        seed: of the search.

    Raises:
        SstError: a grid over a range without a count, or Optuna is not installed.
    """
    seen = {canonical(one.settings) for one in asked}
    if sampler == "grid":
        return next((Asked(settings) for settings in grid(space) if canonical(settings) not in seen), None)
    generator = random.Random(seed * STEP + len(asked))  # noqa: S311
    if sampler == "random":
        return _drawn(space, seen, generator)
    whole = size(space)
    if whole is not None and len(seen) >= whole:
        return None
    from sst_mergekit.sweeping.optuna_sampler import suggestions

    for found in suggestions(sampler, space, asked, generator.randrange(2**31), TRIES):
        if canonical(found.settings) not in seen:
            return found
    return _drawn(space, seen, generator)  # the sampler has nothing new: small spaces end so


def _drawn(space: Sequence[Parameter], seen: set[str], generator: random.Random) -> Asked | None:
    for _ in range(TRIES):
        settings = {parameter.name: parameter.drawn(generator) for parameter in space}
        if canonical(settings) not in seen:
            return Asked(settings)
    if size(space) is None:
        raise SstError(f"--param: {TRIES} draws gave nothing new; widen a range")
    left = [settings for settings in grid(space) if canonical(settings) not in seen]
    return Asked(generator.choice(left)) if left else None
