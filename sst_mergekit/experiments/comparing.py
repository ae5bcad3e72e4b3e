"""Comparing methods: each tuned on the development split, its front scored on the test split."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from sst_mergekit.experiments.results import Apart, Choice, Point, SeedResult, choose, method_result, to_test
from sst_mergekit.experiments.search import Search, searched
from sst_mergekit.experiments.strategies.bracket import bracket
from sst_mergekit.experiments.strategies.strategy import Settings, listed
from sst_mergekit.experiments.trials import Trial, Tuning, trainings, trial, unmerged
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.divergence import read_divergence
from sst_mergekit.testbeds.model import Testbed
from sst_mergekit.testbeds.scores import Scores

Job = tuple[Testbed, Trial]
Points = dict[int, dict[str, list[Point]]]  # by seed and method
Starts = dict[int, Scores | None]  # the utility expert's development scores by seed, where they are needed


def compared(beds: Sequence[Testbed], tuning: Tuning, runner: Runner) -> list[SeedResult]:
    """Return each seed's result: the same budget for every method, settings chosen on development alone."""
    choice = tuning.choice
    alone = [(bed, each) for bed in beds for each in unmerged(bed)]
    experts: dict[int, dict[str, Scores]] = {bed.seed: {} for bed in beds}
    for (bed, each), scores in zip(alone, _scored("score experts", "test", alone, runner), strict=True):
        experts[bed.seed][each.method] = scores
    points, starts = _tuned(beds, tuning, runner), _starts(beds, choice, runner)
    _test(beds, points, choice, starts, runner)
    final = [
        (bed, trial(bed, name, choose(found, choice, starts[bed.seed])[0].settings))
        for bed in beds
        for name, found in points[bed.seed].items()
    ]
    apart = _diverged([*alone, *final], runner)
    return [
        SeedResult(
            seed,
            experts[seed],
            methods={
                name: method_result(
                    found, experts[seed]["utility"], apart.get((seed, name)), choice, starts[seed]
                )
                for name, found in methods.items()
            },
            apart={name: apart[seed, name] for name in experts[seed] if (seed, name) in apart},
        )
        for seed, methods in points.items()
    ]


def searches(beds: Sequence[Testbed], tuning: Tuning) -> dict[tuple[int, str], Search[Scores]]:
    """Return the search of every method on each seed, by seed and name; the long jobs first."""

    def unit(bed: Testbed, name: str, settings: Settings) -> Unit:
        return bed.score(trial(bed, name, settings).model, "dev")

    budget, aim = tuning.budget, tuning.choice.aim
    every = [(bed, name, listed(each)) for bed in beds for name, each in trainings(tuning).items()]
    every += [(bed, each.name, bracket(each, budget, aim)) for bed in beds for each in tuning.merges]
    return {
        (bed.seed, name): Search(
            strategy, functools.partial(unit, bed, name), functools.partial(bed.scores, "dev")
        )
        for bed, name, strategy in every
    }


def _tuned(beds: Sequence[Testbed], tuning: Tuning, runner: Runner) -> Points:
    """Return all that was tried, with development scores."""
    wanted = searches(beds, tuning)
    points: Points = {bed.seed: {} for bed in beds}
    seen = searched("tune on the development split", list(wanted.values()), runner)
    for (seed, name), found in zip(wanted, seen, strict=True):
        points[seed][name] = [Point(settings, scores) for settings, scores in found]
    return points


def _starts(beds: Sequence[Testbed], choice: Choice, runner: Runner) -> Starts:
    if choice.by == "safety":
        return {bed.seed: None for bed in beds}
    jobs = [(bed, each) for bed in beds for each in unmerged(bed) if each.method == "utility"]
    scores = _scored("score the utility expert on the development split", "dev", jobs, runner)
    return {bed.seed: found for (bed, _), found in zip(jobs, scores, strict=True)}


def _test(beds: Sequence[Testbed], points: Points, choice: Choice, starts: Starts, runner: Runner) -> None:
    """Give the points of each front, and the chosen one, their test scores."""
    front = [
        (bed, name, found, index)
        for bed in beds
        for name, found in points[bed.seed].items()
        for index in to_test(found, choice, starts[bed.seed])
    ]
    jobs = [(bed, trial(bed, name, found[index].settings)) for bed, name, found, index in front]
    scored = _scored("score the fronts on the test split", "test", jobs, runner)
    for (_, _, found, index), scores in zip(front, scored, strict=True):
        found[index] = dataclasses.replace(found[index], test=scores)


def _scored(label: str, split: str, jobs: Sequence[Job], runner: Runner) -> list[Scores]:
    paths = runner.make(label, [bed.score(each.model, split) for bed, each in jobs])
    return [bed.scores(split, path) for (bed, _), path in zip(jobs, paths, strict=True)]


def _diverged(jobs: Sequence[Job], runner: Runner) -> dict[tuple[int, str], Apart]:
    """Return how far models are from the utility expert by seed and method, where it can be measured."""
    units = {(bed.seed, each.method): bed.divergence(each.model) for bed, each in jobs}
    known = {key: unit for key, unit in units.items() if unit is not None}
    paths = runner.make("measure the divergence of the chosen", list(known.values()))
    return {key: Apart(**read_divergence(path)) for key, path in zip(known, paths, strict=True)}
