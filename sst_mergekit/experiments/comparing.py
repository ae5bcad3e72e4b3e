"""Comparing methods: each tuned on the development split, its front scored on the test split."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sst_mergekit.experiments.methods import Method, Settings
from sst_mergekit.experiments.results import Apart, Choice, Point, SeedResult, choose, method_result, to_test
from sst_mergekit.experiments.trials import Trial, Tuning, trainings, trial, unmerged
from sst_mergekit.experiments.tuning import propose
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.testbeds.divergence import read_divergence
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
    rule = _Rule(tuning.choice, _starts(beds, tuning.choice, runner), points)
    front = [job for job in sweep if rule.is_in_front(job)]
    scored = _scored("score the fronts on the test split", "test", front, runner)
    for (bed, each), scores in zip(front, scored, strict=True):
        found = points[bed.seed][each.method]
        index = next(i for i, point in enumerate(found) if point.settings == each.settings)
        found[index] = dataclasses.replace(found[index], test=scores)
    final = [job for job in front if rule.is_chosen(job)]
    apart = _diverged([*alone, *final], runner)
    return [
        SeedResult(
            seed,
            experts[seed],
            methods={
                name: method_result(
                    found, experts[seed]["utility"], apart.get((seed, name)), rule.choice, rule.starts[seed]
                )
                for name, found in methods.items()
            },
            apart={name: apart[seed, name] for name in experts[seed] if (seed, name) in apart},
        )
        for seed, methods in points.items()
    ]


@dataclasses.dataclass(frozen=True)
class _Rule:
    """Which jobs of a sweep go on; ``starts``: the utility expert's development scores, where needed."""

    choice: Choice
    starts: dict[int, Scores | None]
    points: Points

    def is_in_front(self, job: Job) -> bool:
        found, start = self._of(job)
        return any(found[i].settings == job[1].settings for i in to_test(found, self.choice, start))

    def is_chosen(self, job: Job) -> bool:
        found, start = self._of(job)
        return choose(found, self.choice, start)[0].settings == job[1].settings

    def _of(self, job: Job) -> tuple[list[Point], Scores | None]:
        bed, each = job
        return self.points[bed.seed][each.method], self.starts[bed.seed]


def _starts(beds: Sequence[Testbed], choice: Choice, runner: Runner) -> dict[int, Scores | None]:
    if choice.by == "safety":
        return {bed.seed: None for bed in beds}
    jobs = [(bed, each) for bed in beds for each in unmerged(bed) if each.method == "utility"]
    scores = _scored("score the utility expert on the development split", "dev", jobs, runner)
    return {bed.seed: found for (bed, _), found in zip(jobs, scores, strict=True)}


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
            for settings in _next(method, tuning, points[bed.seed])
        ]
        if not new:
            return sweep, points
        label = f"tune on the development split, from setting {len(sweep) + 1}"
        for (bed, each), scores in zip(new, _scored(label, "dev", new, runner), strict=True):
            points[bed.seed].setdefault(each.method, []).append(Point(each.settings, scores))
        sweep += new
        new = []


def _next(method: Method, tuning: Tuning, points: dict[str, list[Point]]) -> list[Settings]:
    return propose(method, tuning.budget, points.get(method.name, []), tuning.choice.aim)


def _scored(label: str, split: str, jobs: Sequence[Job], runner: Runner) -> list[Scores]:
    paths = runner.make(label, [bed.score(each.model, split) for bed, each in jobs])
    return [bed.scores(split, path) for (bed, _), path in zip(jobs, paths, strict=True)]


def _diverged(jobs: Sequence[Job], runner: Runner) -> dict[tuple[int, str], Apart]:
    """Return how far models are from the utility expert by seed and method, where it can be measured."""
    units = {(bed.seed, each.method): bed.divergence(each.model) for bed, each in jobs}
    known = {key: unit for key, unit in units.items() if unit is not None}
    paths = runner.make("measure the divergence of the chosen", list(known.values()))
    return {key: Apart(**read_divergence(path)) for key, path in zip(known, paths, strict=True)}
