"""Tuning methods on the development split and scoring them on the test split, by units of work."""

from __future__ import annotations

from collections.abc import Sequence

from sst_mergekit.experiments.demo import Job, compare_methods
from sst_mergekit.experiments.results import SeedResult
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.testbeds.scores import Scores, scores_of
from sst_mergekit.testbeds.scoring import read_table
from sst_mergekit.testbeds.tiny.testbed import World


def compared(worlds: Sequence[World], runner: Runner) -> list[SeedResult]:
    """Return each seed's result: the same budget for every method, settings chosen on development alone."""

    def score(label: str, split: str, jobs: Sequence[Job]) -> list[Scores]:
        units = [world.score(trial.candidate, split) for world, trial in jobs]
        return [scores_of(read_table(path)) for path in runner.make(label, units)]

    return compare_methods(worlds, worlds[0].size, score)
