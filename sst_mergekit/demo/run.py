"""The demo from nothing to a report: train, measure, sweep on dev, score the front on test."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sst_mergekit.demo.candidates import evaluate
from sst_mergekit.demo.plan import DemoSize, SeedPlan, Trial, measure, train
from sst_mergekit.demo.pool import Pool
from sst_mergekit.demo.results import Point, SeedResult, method_result, to_test
from sst_mergekit.demo.scoring import Scores

Job = tuple[SeedPlan, Trial]


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
        pool.map("train base and experts", train, [(plan,) for plan in plans])
        pool.map("measure statistics", measure, [(plan, w) for plan in plans for w in ("utility", "safety")])
        unmerged = [(plan, trial) for plan in plans for trial in plan.unmerged()]
        sweep = [(plan, trial) for plan in plans for trial in plan.trials()]
        experts = _score(pool, "score experts", "test", unmerged)
        dev = _score(pool, "sweep on the development split", "dev", sweep)
        points = {
            plan.seed: _points([(t, s) for (p, t), s in zip(sweep, dev, strict=True) if p is plan])
            for plan in plans
        }
        wanted = [(plan, trial) for plan, trial in sweep if _is_wanted(trial, points[plan.seed])]
        test = _score(pool, "score the fronts on the test split", "test", wanted)
    for (plan, trial), scores in zip(wanted, test, strict=True):
        method = points[plan.seed][trial.method]
        index = next(i for i, p in enumerate(method) if p.settings == trial.settings)
        method[index] = dataclasses.replace(method[index], test=scores)
    by_seed = {plan.seed: {} for plan in plans}
    for (plan, trial), scores in zip(unmerged, experts, strict=True):
        by_seed[plan.seed][trial.method] = scores
    return [_seed_result(plan.seed, by_seed[plan.seed], points[plan.seed]) for plan in plans]


def _score(pool: Pool, label: str, split: str, jobs: Sequence[Job]) -> list[Scores]:
    calls = [
        (trial.candidate, plan.split(split), plan.score_file(split, trial.candidate.name))
        for plan, trial in jobs
    ]
    return pool.map(label, evaluate, calls)


def _points(scored: Sequence[tuple[Trial, Scores]]) -> dict[str, list[Point]]:
    points: dict[str, list[Point]] = {}
    for trial, scores in scored:
        points.setdefault(trial.method, []).append(Point(trial.settings, scores))
    return points


def _is_wanted(trial: Trial, points: dict[str, list[Point]]) -> bool:
    method = points[trial.method]
    return any(method[i].settings == trial.settings for i in to_test(method))


def _seed_result(seed: int, experts: dict[str, Scores], points: dict[str, list[Point]]) -> SeedResult:
    methods = {name: method_result(found, experts["utility"]) for name, found in points.items()}
    return SeedResult(seed, experts, methods)
