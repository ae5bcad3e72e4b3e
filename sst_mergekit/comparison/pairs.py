"""One metric compared: means of all runs, differences of all pairs, Holm's correction over a report."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sst_mergekit.comparison.joining import Array, Scores
from sst_mergekit.metrics.estimate import Estimate, Rate
from sst_mergekit.metrics.resampling import clustered_stderr, percentile_interval, resampled_means
from sst_mergekit.metrics.significance import cohens_d, holm, is_binary, mcnemar, t_test, welch


@dataclass(frozen=True)
class Pair:
    """One run against another on the same prompts.

    Attributes:
        difference: mean of `run` less that of `against`, with its paired bootstrap interval.
        stderr: of the difference, clustered where prompts share a source; None below two clusters.
        test: what `p` is of: ``McNemar``, ``paired t`` or ``clustered t``.
        p_holm: p after Holm's correction over all tests of the report.
        p_welch: of Welch's unpaired t-test, for readers who expect it.
        cohens_d: the difference in pooled standard deviations.
        won, lost: prompts on which `run` scores higher, lower.
    """

    run: str
    against: str
    difference: Estimate
    stderr: float | None
    test: str
    p: float | None
    p_holm: float | None
    p_welch: float | None
    cohens_d: float | None
    won: int
    lost: int


@dataclass(frozen=True)
class Compared:
    """One metric of one task: `means` and `pairs` in the order of the runs, the reference first.

    Attributes:
        n: prompts.
        clusters: sources of the prompts; as many as prompts where each has its own.
    """

    task: str
    metric: str
    higher_is_better: bool | None
    n: int
    clusters: int
    means: dict[str, Rate]
    pairs: list[Pair]


def compare_metric(scores: Scores, names: Sequence[str], seed: int, draws: int) -> Compared:
    """Return the means of all runs and the differences of all pairs, later runs against earlier ones."""
    values, n, clusters = scores.values, len(scores.values), int(scores.clusters.max()) + 1
    stderrs = clustered_stderr(values, scores.clusters)
    known = [None] * len(names) if stderrs is None else [float(error) for error in stderrs]
    means = {
        name: Rate(float(mean), error, n)
        for name, mean, error in zip(names, values.mean(axis=0), known, strict=True)
    }
    resampled = resampled_means(values, scores.clusters, scores.seed(seed), draws)
    pairs = [
        _pair(scores, (names[theirs], theirs), (names[ours], ours), resampled[:, ours] - resampled[:, theirs])
        for theirs, ours in itertools.combinations(range(len(names)), 2)
    ]
    return Compared(scores.task, scores.metric, scores.higher_is_better, n, clusters, means, pairs)


def _pair(scores: Scores, against: tuple[str, int], run: tuple[str, int], draws: Array) -> Pair:
    ours, theirs = scores.values[:, run[1]], scores.values[:, against[1]]
    gaps = ours - theirs
    errors = clustered_stderr(gaps[:, None], scores.clusters)
    stderr = None if errors is None else float(errors[0])
    mean = float(gaps.mean())
    if is_binary(scores.values) and not scores.clustered:
        test, p = "McNemar", mcnemar(ours, theirs)
    else:
        test = "clustered t" if scores.clustered else "paired t"
        p = t_test(mean, stderr, int(scores.clusters.max()) + 1)
    return Pair(
        run=run[0],
        against=against[0],
        difference=percentile_interval(mean, draws, stderr is not None),
        stderr=stderr,
        test=test,
        p=p,
        p_holm=None,
        p_welch=welch(ours, theirs),
        cohens_d=cohens_d(ours, theirs),
        won=int(np.sum(gaps > 0)),
        lost=int(np.sum(gaps < 0)),
    )


def correct(compared: Sequence[Compared]) -> list[Compared]:
    """Return the same with `p_holm` filled in: one family, all pairs on all tasks and metrics."""
    tests = [pair.p for metric in compared for pair in metric.pairs if pair.p is not None]
    corrected = iter(holm(tests))
    return [
        replace(
            metric,
            pairs=[
                pair if pair.p is None else replace(pair, p_holm=next(corrected)) for pair in metric.pairs
            ],
        )
        for metric in compared
    ]
