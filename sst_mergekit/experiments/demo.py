"""The demo from nothing to a report: train, measure, sweep on dev, score the front on test."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sst_mergekit.experiments.demo_plan import DemoSize, SeedPlan, Trial, measure, refit_patch, train
from sst_mergekit.experiments.methods import EVERY, REFIT_RATES, Method, Settings
from sst_mergekit.experiments.results import Point, SeedResult, choose, method_result, to_test
from sst_mergekit.experiments.tuning import propose
from sst_mergekit.experiments.variants import VARIANTS
from sst_mergekit.jobs.pool import Pool
from sst_mergekit.testbeds.candidates import evaluate
from sst_mergekit.testbeds.scores import Scores
from sst_mergekit.testbeds.tiny.divergence import divergence, held_out


class Plan(Protocol):
    """What one seed can try."""

    @property
    def seed(self) -> int:
        """Of data, training and everything random."""
        ...

    def unmerged(self) -> list[Trial]:
        """Return the base and both experts."""
        ...

    def merge(self, method: Method, settings: Settings) -> Trial:
        """Return a merge."""
        ...

    def trainings(self) -> list[Trial]:
        """Return the trained rival at each of its settings, if it is to be tried."""
        ...


Job = tuple[Any, Trial]  # of a Plan
Scorer = Callable[[str, str, Sequence[Job]], list[Scores]]
Measurer = Callable[[Sequence[Job]], Sequence[float | None]]


def run(
    out: Path, seeds: Sequence[int], size: DemoSize, workers: int, progress: bool = True
) -> list[SeedResult]:
    """Return each seed's result; what was done before under ``out`` is not done again.

    Args:
        out: folder of the demo; a subfolder a seed.
        seeds: seeds of data, training and everything random.
        size: ``plan.FULL`` or ``plan.QUICK``.
        workers: processes, one thread each.
        progress: show a bar for each phase.
    """
    plans = [SeedPlan(out / f"seed-{seed}", seed, size) for seed in seeds]
    out.mkdir(parents=True, exist_ok=True)
    with Pool(workers, out / "log.txt", progress) as pool:
        pool.map("train bases", train, [(plan, "base") for plan in plans])
        jobs = [(plan, part) for plan in plans for part in ("utility", "safety")]
        pool.map("train experts", train, jobs)
        for kind in size.kinds:
            jobs = [(plan, who, kind) for plan in plans for who in size.measured(kind)]
            pool.map(f"measure {kind} statistics", measure, jobs)
        jobs = [(plan, who, kind) for plan in plans for who, kind in size.further]
        pool.map("measure further statistics", measure, jobs)
        jobs = [(plan, rate) for plan in plans for rate in REFIT_RATES if "sst_refit" in size.methods]
        pool.map("refit the patch", refit_patch, jobs)
        return compare_methods(
            plans, size, functools.partial(_score, pool), functools.partial(_diverge, pool)
        )


def compare_methods(
    plans: Sequence[Plan], size: DemoSize, score: Scorer, diverge: Measurer | None = None
) -> list[SeedResult]:
    """Return each seed's result: every method tuned on the development split, its front scored on the test.

    Args:
        plans: one a seed.
        size: its methods are compared, each with its budget.
        score: (label, split, jobs) -> their scores.
        diverge: jobs -> their divergences from the utility expert; None: not measured.
    """
    unmerged = [(plan, trial) for plan in plans for trial in plan.unmerged()]
    methods = _methods(size)
    experts = score("score experts", "test", unmerged)
    sweep: list[Job] = []
    dev: list[Scores] = []
    new = [(plan, trial) for plan in plans for trial in plan.trainings()]  # the long jobs first
    while True:
        points = _points(sweep, dev)
        new += [(p, p.merge(m, s)) for p in plans for m in methods for s in _next(m, size, points, p)]
        if not new:
            break
        dev += score(f"tune on the development split, from setting {len(dev) + 1}", "dev", new)
        sweep += new
        new = []
    wanted = [(plan, trial) for plan, trial in sweep if _is_wanted(trial, points[plan.seed])]
    test = score("score the fronts on the test split", "test", wanted)
    for (plan, trial), scores in zip(wanted, test, strict=True):
        method = points[plan.seed][trial.method]
        index = next(i for i, p in enumerate(method) if p.settings == trial.settings)
        method[index] = dataclasses.replace(method[index], test=scores)
    final = [(plan, trial) for plan, trial in wanted if _is_chosen(trial, points[plan.seed])]
    apart = diverge(final) if diverge else [None] * len(final)
    far = {(plan.seed, trial.method): value for (plan, trial), value in zip(final, apart, strict=True)}
    by_seed = {plan.seed: {} for plan in plans}
    for (plan, trial), scores in zip(unmerged, experts, strict=True):
        by_seed[plan.seed][trial.method] = scores
    return [
        SeedResult(
            seed,
            experts,
            {
                name: method_result(found, experts["utility"], far[seed, name])
                for name, found in points[seed].items()
            },
        )
        for seed, experts in by_seed.items()
    ]


def _score(pool: Pool, label: str, split: str, jobs: Sequence[Job]) -> list[Scores]:
    calls = [
        (trial.candidate, plan.split(split), plan.score_file(split, trial.candidate.name))
        for plan, trial in jobs
    ]
    return pool.map(label, evaluate, calls)


def _diverge(pool: Pool, jobs: Sequence[Job]) -> list[float]:
    calls = []
    for plan, trial in jobs:
        world = plan.folder / "world"
        file = plan.score_file("divergence", trial.candidate.name)
        calls.append((trial.candidate, world / "utility", held_out(world, plan.seed), file))
    return pool.map("measure the divergence of the chosen", divergence, calls)


def _methods(size: DemoSize) -> list[Method]:
    return [method for method in EVERY + VARIANTS if method.name in size.methods]


def _next(
    method: Method, size: DemoSize, points: dict[int, dict[str, list[Point]]], plan: Plan
) -> list[Settings]:
    return propose(method, size.budget, points.get(plan.seed, {}).get(method.name, []))


def _points(jobs: Sequence[Job], scored: Sequence[Scores]) -> dict[int, dict[str, list[Point]]]:
    """Return the points of each seed and method."""
    points: dict[int, dict[str, list[Point]]] = {}
    for (plan, trial), scores in zip(jobs, scored, strict=True):
        points.setdefault(plan.seed, {}).setdefault(trial.method, []).append(Point(trial.settings, scores))
    return points


def _is_wanted(trial: Trial, points: dict[str, list[Point]]) -> bool:
    method = points[trial.method]
    return any(method[i].settings == trial.settings for i in to_test(method))


def _is_chosen(trial: Trial, points: dict[str, list[Point]]) -> bool:
    return choose(points[trial.method])[0].settings == trial.settings
