"""Comparing methods: each tuned on the development split, its front scored on the test split."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

from sst_mergekit.experiments.results import Point, SeedResult, choose, method_result, to_test
from sst_mergekit.experiments.trials import Trial, Tuning, trainings, trial, unmerged
from sst_mergekit.experiments.tuning import propose
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.testbeds.model import Testbed
from sst_mergekit.testbeds.scores import Scores

Job = tuple[Testbed, Trial]
Points = dict[int, dict[str, list[Point]]]  # by seed and method


def compared(beds: Sequence[Testbed], tuning: Tuning, runner: Runner) -> list[SeedResult]:
    """Return each seed's result: the same budget for every method, settings chosen on development alone."""
    alone = [(bed, each) for bed in beds for each in unmerged(bed)]
    experts: dict[int, dict[str, Scores]] = {bed.seed: {} for bed in beds}
    for (bed, each), scores in zip(alone, _scored("score experts", "test", alone, runner), strict=True):
        experts[bed.seed][each.method] = scores
    sweep, points = _tuned(beds, tuning, runner)
    front = [job for job in sweep if _is_in(job, points, to_test)]
    scored = _scored("score the fronts on the test split", "test", front, runner)
    for (bed, each), scores in zip(front, scored, strict=True):
        found = points[bed.seed][each.method]
        index = next(i for i, point in enumerate(found) if point.settings == each.settings)
        found[index] = dataclasses.replace(found[index], test=scores)
    final = [job for job in front if _is_in(job, points, lambda found: [found.index(choose(found)[0])])]
    apart = _diverged(final, runner)
    return [
        SeedResult(
            seed,
            experts[seed],
            {
                name: method_result(found, experts[seed]["utility"], apart.get((seed, name)))
                for name, found in methods.items()
            },
        )
        for seed, methods in points.items()
    ]


def _tuned(beds: Sequence[Testbed], tuning: Tuning, runner: Runner) -> tuple[list[Job], Points]:
    """Return all that was tried, with development scores."""
    sweep: list[Job] = []
    points: Points = {bed.seed: {} for bed in beds}
    new = [(bed, each) for bed in beds for each in trainings(bed, tuning)]  # the long jobs first
    while True:
        new += [
            (bed, trial(bed, method.name, settings))
            for bed in beds
            for method in tuning.merges
            for settings in propose(method, tuning.budget, points[bed.seed].get(method.name, []))
        ]
        if not new:
            return sweep, points
        label = f"tune on the development split, from setting {len(sweep) + 1}"
        for (bed, each), scores in zip(new, _scored(label, "dev", new, runner), strict=True):
            points[bed.seed].setdefault(each.method, []).append(Point(each.settings, scores))
        sweep += new
        new = []


def _scored(label: str, split: str, jobs: Sequence[Job], runner: Runner) -> list[Scores]:
    paths = runner.make(label, [bed.score(each.model, split) for bed, each in jobs])
    return [bed.scores(path) for (bed, _), path in zip(jobs, paths, strict=True)]


def _diverged(jobs: Sequence[Job], runner: Runner) -> dict[tuple[int, str], float]:
    """Return KL from the utility expert by seed and method, where it can be measured."""
    units = {(bed.seed, each.method): bed.divergence(each.model) for bed, each in jobs}
    known = {key: unit for key, unit in units.items() if unit is not None}
    paths = runner.make("measure the divergence of the chosen", list(known.values()))
    return {
        key: float(json.loads((path / "divergence.json").read_text(encoding="utf-8")))
        for key, path in zip(known, paths, strict=True)
    }


def _is_in(job: Job, points: Points, chosen) -> bool:  # noqa: ANN001
    bed, each = job
    found = points[bed.seed][each.method]
    return any(found[i].settings == each.settings for i in chosen(found))
