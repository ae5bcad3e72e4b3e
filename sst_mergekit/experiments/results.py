"""From scores to findings: settings chosen on the development split, figures of the test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sst_mergekit.experiments.methods import Settings
from sst_mergekit.metrics.tradeoff import Tax, hypervolume, pareto, safety_tax, utility_at
from sst_mergekit.testbeds.scores import Scores

TARGET_SAFETY = 0.9


@dataclass(frozen=True)
class Point:
    """One setting of a method with its scores; ``test`` is None where the point was not chosen for it."""

    settings: Settings
    dev: Scores
    test: Scores | None = None


@dataclass(frozen=True)
class Apart:
    """How far a model is from the utility expert on held-out benign rows.

    Attributes:
        divergence: KL from it, nats a token.
        perplexity: of the model on the rows.
    """

    divergence: float
    perplexity: float


@dataclass(frozen=True)
class Choice:
    """How a method's setting is chosen, on the development split alone.

    Attributes:
        by: ``safety``: best utility at this safety at least; ``tax``: best safety at this tax at most;
            ``hypervolume``: the largest area below it and the utility expert.
        level: of safety, or of tax.
    """

    by: str = "safety"
    level: float = TARGET_SAFETY

    @property
    def aim(self) -> float:
        """Return the safety that strengths are searched at."""
        return self.level if self.by == "safety" else TARGET_SAFETY


SAFE = Choice()


@dataclass(frozen=True)
class MethodResult:
    """What one method reached on one seed.

    Attributes:
        chosen: its setting (see ``Choice``).
        reached: whether one is as safe, or as cheap, as was asked for.
        front: the settings that were Pareto-optimal on the development split, scored on the test.
        tried: how many settings were tried.
        tax: of the chosen setting, on the test split.
        hypervolume: of the front and the utility expert, on the test split.
        utility_at_target: of the same at safety 0.9; None where they do not reach it.
        apart: from the utility expert, the chosen setting; None: not measured.
    """

    chosen: Point
    reached: bool
    front: tuple[Point, ...]
    tried: int
    tax: Tax
    hypervolume: float
    utility_at_target: float | None
    apart: Apart | None = None


@dataclass(frozen=True)
class SeedResult:
    """One seed: unmerged models' test scores, every method's result, how far the unmerged are apart."""

    seed: int
    experts: dict[str, Scores]
    methods: dict[str, MethodResult]
    apart: dict[str, Apart] = field(default_factory=dict)


def place(scores: Scores) -> tuple[float, float]:
    """Return (safety, utility)."""
    return scores.safety.value, scores.utility.value


def choose(points: Sequence[Point], choice: Choice = SAFE, start: Scores | None = None) -> tuple[Point, bool]:
    """Return the chosen point by development scores alone, and whether it reached what was asked for.

    Args:
        points: of one method.
        choice: how; where no point reaches its level, the safest or cheapest is taken.
        start: the utility expert's scores on the development split, for tax and hypervolume.
    """
    if choice.by == "safety":
        safe = [p for p in points if p.dev.safety.value >= choice.level]
        if safe:
            return max(safe, key=lambda p: (p.dev.utility.value, p.dev.safety.value)), True
        return max(points, key=lambda p: place(p.dev)), False
    if start is None:
        raise ValueError(f"{choice.by}: needs the utility expert on the development split")
    if choice.by == "hypervolume":
        return max(points, key=lambda p: hypervolume([place(start), place(p.dev)])), True
    taxes = [_tax(p.dev, start).value for p in points]
    known = [(tax, p) for tax, p in zip(taxes, points, strict=True) if tax is not None]
    cheap = [p for tax, p in known if tax <= choice.level]
    if cheap:
        return max(cheap, key=lambda p: place(p.dev)), True
    if known:
        return min(known, key=lambda pair: pair[0])[1], False
    return max(points, key=lambda p: place(p.dev)), False


def _tax(scores: Scores, utility: Scores) -> Tax:
    return safety_tax(scores.safety, utility.safety, scores.utility, utility.utility)


def to_test(points: Sequence[Point], choice: Choice = SAFE, start: Scores | None = None) -> list[int]:
    """Return which points deserve the test split: the development front and the chosen one."""
    best = set(pareto([place(p.dev) for p in points]))
    wanted = [i for i, p in enumerate(points) if place(p.dev) in best]
    chosen = points.index(choose(points, choice, start)[0])
    return sorted({*wanted, chosen})


def method_result(
    points: Sequence[Point],
    utility_expert: Scores,
    apart: Apart | None = None,
    choice: Choice = SAFE,
    start: Scores | None = None,
) -> MethodResult:
    """Return a method's result; the points of ``to_test`` must carry test scores."""
    chosen, reached = choose(points, choice, start)
    front = tuple(points[i] for i in to_test(points, choice, start))
    tested = [point.test for point in front if point.test is not None]
    if chosen.test is None or len(tested) != len(front):
        raise ValueError("a point of the front has no test scores")
    places = [place(utility_expert), *(place(scores) for scores in tested)]
    area, utility = hypervolume(places), utility_at(places, TARGET_SAFETY)
    tax = _tax(chosen.test, utility_expert)
    return MethodResult(chosen, reached, front, len(points), tax, area, utility, apart)
