"""From scores to findings: settings chosen on the development split, figures of the test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sst_mergekit.experiments.methods import Settings
from sst_mergekit.metrics.estimate import t_interval as interval
from sst_mergekit.metrics.tradeoff import Tax, hypervolume, pareto, safety_tax, utility_at
from sst_mergekit.testbeds.scores import Scores

TARGET_SAFETY = 0.9
PARTS = 3  # of utility: MMLU, HumanEval, compliance


@dataclass(frozen=True)
class Point:
    """One setting of a method with its scores; ``test`` is None where the point was not chosen for it."""

    settings: Settings
    dev: Scores
    test: Scores | None = None


@dataclass(frozen=True)
class MethodResult:
    """What one method reached on one seed.

    Attributes:
        chosen: the setting with the best utility among those with development safety >= 0.9.
        reached: whether there was one; else ``chosen`` is the safest.
        front: the settings that were Pareto-optimal on the development split, scored on the test.
        tried: how many settings were tried.
        tax: of the chosen setting, on the test split.
        hypervolume: of the front and the utility expert, on the test split.
        utility_at_target: of the same at safety 0.9; None where they do not reach it.
        divergence: KL from the utility expert of the chosen setting, nats a token; None: not measured.
    """

    chosen: Point
    reached: bool
    front: tuple[Point, ...]
    tried: int
    tax: Tax
    hypervolume: float
    utility_at_target: float | None
    divergence: float | None = None


@dataclass(frozen=True)
class SeedResult:
    """One seed: the unmerged models' test scores and every method's result."""

    seed: int
    experts: dict[str, Scores]
    methods: dict[str, MethodResult]


def place(scores: Scores) -> tuple[float, float]:
    """Return (safety, utility)."""
    return scores.safety.value, scores.utility.value


def choose(points: Sequence[Point]) -> tuple[Point, bool]:
    """Return the chosen point by development scores alone, and whether it reached the target.

    Best utility at safety >= 0.9, then best safety; the safest where none reaches it.
    """
    safe = [p for p in points if p.dev.safety.value >= TARGET_SAFETY]
    if safe:
        return max(safe, key=lambda p: (p.dev.utility.value, p.dev.safety.value)), True
    return max(points, key=lambda p: place(p.dev)), False


def to_test(points: Sequence[Point]) -> list[int]:
    """Return which points deserve the test split: the development front and the chosen one."""
    best = set(pareto([place(p.dev) for p in points]))
    wanted = [i for i, p in enumerate(points) if place(p.dev) in best]
    chosen = points.index(choose(points)[0])
    return sorted({*wanted, chosen})


def method_result(
    points: Sequence[Point], utility_expert: Scores, divergence: float | None = None
) -> MethodResult:
    """Return a method's result; the points of ``to_test`` must carry test scores."""
    chosen, reached = choose(points)
    front = tuple(points[i] for i in to_test(points))
    tested = [point.test for point in front if point.test is not None]
    if chosen.test is None or len(tested) != len(front):
        raise ValueError("a point of the front has no test scores")
    tax = safety_tax(chosen.test.safety, utility_expert.safety, chosen.test.utility, utility_expert.utility)
    places = [place(utility_expert), *(place(scores) for scores in tested)]
    area, utility = hypervolume(places), utility_at(places, TARGET_SAFETY)
    return MethodResult(chosen, reached, front, len(points), tax, area, utility, divergence)


@dataclass(frozen=True)
class Comparison:
    """A method against Task Arithmetic, paired by seed.

    Attributes:
        tax: mean tax over the seeds where both methods have one, None where there is no such seed.
        baseline_tax: Task Arithmetic's on the same seeds.
        over_refusal: the part of ``tax`` that is over-refusal; the rest is skill.
        baseline_over_refusal: Task Arithmetic's on the same seeds.
        hypervolume_gain: mean difference of hypervolume.
        hypervolume_margin: half-width of its 95 % t-interval, None below two seeds.
        seeds_won: seeds with the higher hypervolume.
        seeds: number of seeds.
    """

    tax: float | None
    baseline_tax: float | None
    over_refusal: float | None
    baseline_over_refusal: float | None
    hypervolume_gain: float
    hypervolume_margin: float | None
    seeds_won: int
    seeds: int

    @property
    def cut(self) -> float | None:
        """Return the share of the baseline's tax that is saved, None where that is undefined."""
        if self.tax is None or self.baseline_tax is None or self.baseline_tax <= 0:
            return None
        return 1 - self.tax / self.baseline_tax


def over_refusal_tax(result: SeedResult, method: str) -> float:
    """Return the part of a method's tax that is over-refusal: a third of utility is compliance."""
    found = result.methods[method]
    if found.chosen.test is None:
        raise ValueError(f"{method}: the chosen setting has no test scores")
    lost = result.experts["utility"].compliance.value - found.chosen.test.compliance.value
    return lost / PARTS / found.tax.gain


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def compare(results: Sequence[SeedResult], method: str, baseline: str = "task_arithmetic") -> Comparison:
    """Return how a method stands against the baseline over all seeds."""
    pairs = [(r.methods[method], r.methods[baseline]) for r in results]
    taxed = [
        (m.tax.value, b.tax.value, over_refusal_tax(r, method), over_refusal_tax(r, baseline))
        for r, (m, b) in zip(results, pairs, strict=True)
        if m.tax.value is not None and b.tax.value is not None
    ]
    tax, baseline_tax, part, baseline_part = map(_mean, zip(*taxed, strict=True)) if taxed else (None,) * 4
    gains = [m.hypervolume - b.hypervolume for m, b in pairs]
    mean, margin = interval(gains)
    return Comparison(
        tax=tax,
        baseline_tax=baseline_tax,
        over_refusal=part,
        baseline_over_refusal=baseline_part,
        hypervolume_gain=mean,
        hypervolume_margin=margin,
        seeds_won=sum(gain > 0 for gain in gains),
        seeds=len(results),
    )
