"""Settings of a space by a sampler: a grid, at random, or one of Optuna's multi-objective samplers."""

from __future__ import annotations

import random
from collections.abc import Sequence

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.results import place
from sst_mergekit.experiments.strategies.space import Parameter, grid, size
from sst_mergekit.experiments.strategies.strategy import Seen, Settings, Strategy, canonical, listed
from sst_mergekit.testbeds.scores import Scores

TOGETHER = 4  # settings that Optuna proposes at a time, to be shared by workers and processes
TRIES = 100  # draws in search of settings that were not tried before
STEP = 1_000_003  # between the seeds of two draws
Asked = Sequence[tuple[Settings, tuple[float, float] | None]]  # (safety, utility), None while it is scored


def sampled(sampler: str, space: Sequence[Parameter], budget: int, seed: int) -> Strategy[Scores]:
    """Return the strategy of a sampler: a grid is tried whole, of another's settings as many as `budget`.

    Raises:
        SstError: a grid over a range without a count.
    """
    if sampler == "grid":
        return listed(grid(space))

    def strategy(seen: Seen[Scores]) -> list[Settings]:
        asked = [(settings, place(scores)) for settings, scores in seen]
        new: list[Settings] = []
        left = budget - len(seen)
        if sampler != "random":
            left = min(left, TOGETHER - len(seen) % TOGETHER)
        while len(new) < left:
            found = propose(sampler, space, [*asked, *((settings, None) for settings in new)], seed)
            if found is None:
                break
            new.append(found)
        return new

    return strategy


def propose(sampler: str, space: Sequence[Parameter], asked: Asked, seed: int) -> Settings | None:
    """Return settings that are not among `asked`, or None where there are no others.

    Args:
        sampler: ``random``, ``tpe`` or ``nsga2``.
        space: what may be chosen.
        asked: all settings before, in order: with the seed, the whole state of the search.
        seed: of the search.

    Raises:
        SstError: Optuna is not installed.
    """
    known = {canonical(settings) for settings, _ in asked}
    generator = random.Random(seed * STEP + len(asked))  # noqa: S311
    if sampler == "random":
        return _drawn(space, known, generator)
    whole = size(space)
    if whole is not None and len(known) >= whole:
        return None
    from sst_mergekit.experiments.strategies.optuna_sampler import suggestions

    for found in suggestions(sampler, space, asked, generator.randrange(2**31), TRIES):
        if canonical(found) not in known:
            return found
    return _drawn(space, known, generator)  # the sampler has nothing new: small spaces end so


def _drawn(space: Sequence[Parameter], known: set[str], generator: random.Random) -> Settings | None:
    for _ in range(TRIES):
        settings = {parameter.name: parameter.drawn(generator) for parameter in space}
        if canonical(settings) not in known:
            return settings
    if size(space) is None:
        raise SstError(f"--param: {TRIES} draws gave nothing new; widen a range")
    left = [settings for settings in grid(space) if canonical(settings) not in known]
    return generator.choice(left) if left else None
