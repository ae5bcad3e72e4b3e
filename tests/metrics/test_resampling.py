"""Standard errors and the paired bootstrap: against loops, and how often the interval holds the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sst_mergekit.metrics import resampling
from sst_mergekit.metrics.estimate import Estimate
from sst_mergekit.metrics.resampling import clustered_stderr, percentile_interval, resampled_means

RNG = np.random.default_rng(1)
VALUES = RNG.normal(size=(24, 3))
CLUSTERS = np.unique(RNG.integers(0, 8, size=24), return_inverse=True)[1]
OWN = np.arange(24)


def naive_stderr(values: list[float], clusters: list[int]) -> float:
    """Miller's double sum over all pairs of prompts that share a source, corrected for few sources."""
    n, mean, groups = len(values), sum(values) / len(values), len(set(clusters))
    total = 0.0
    for i in range(n):
        for j in range(n):
            if clusters[i] == clusters[j]:
                total += (values[i] - mean) * (values[j] - mean)
    return math.sqrt(groups / (groups - 1) * total) / n


def test_it_is_the_double_sum_over_prompts_of_a_source():
    expected = [naive_stderr(list(column), list(CLUSTERS)) for column in VALUES.T]
    assert clustered_stderr(VALUES, CLUSTERS) == pytest.approx(expected)


def test_prompts_of_their_own_give_the_usual_one():
    usual = VALUES.std(axis=0, ddof=1) / math.sqrt(len(VALUES))
    assert clustered_stderr(VALUES, OWN) == pytest.approx(usual)


def test_copies_of_a_prompt_add_no_certainty():
    once = clustered_stderr(VALUES, OWN)
    assert clustered_stderr(np.repeat(VALUES, 4, axis=0), np.repeat(OWN, 4)) == pytest.approx(once)


def test_adding_a_constant_changes_nothing_and_a_factor_scales():
    stderr = clustered_stderr(VALUES, CLUSTERS)
    assert clustered_stderr(VALUES + 3, CLUSTERS) == pytest.approx(stderr)
    assert clustered_stderr(-2 * VALUES, CLUSTERS) == pytest.approx(2 * stderr)


def test_one_source_has_none():
    assert clustered_stderr(VALUES, np.zeros(24, dtype=int)) is None


def naive(values: np.ndarray, clusters: np.ndarray, seed: tuple[int, ...], draws: int) -> list[list[float]]:
    """Collect the prompts of every drawn source in a list, and take its mean."""
    rng, groups, means = np.random.default_rng(seed), len(set(clusters)), []
    for _ in range(draws):
        drawn = []
        for group in rng.integers(groups, size=groups):
            drawn += [values[i] for i in range(len(values)) if clusters[i] == group]
        means.append([sum(row[run] for row in drawn) / len(drawn) for run in range(values.shape[1])])
    return means


@pytest.mark.parametrize("clusters", [OWN, CLUSTERS], ids=["prompts", "sources"])
def test_it_is_the_slow_loop(clusters, monkeypatch):
    monkeypatch.setattr(resampling, "BLOCK", 16)  # draws do not depend on how many are made at a time
    assert resampled_means(VALUES, clusters, (3, 4), 50) == pytest.approx(
        np.array(naive(VALUES, clusters, (3, 4), 50))
    )


def test_runs_are_drawn_alike():
    means = resampled_means(np.column_stack([VALUES[:, 0], VALUES[:, 0] + 0.25]), OWN, (0,), 200)
    assert means[:, 1] - means[:, 0] == pytest.approx(np.full(200, 0.25))


def test_a_seed_gives_the_same_draws_and_another_seed_others():
    again = [resampled_means(VALUES, OWN, (seed,), 20) for seed in (0, 0, 1)]
    assert np.array_equal(again[0], again[1])
    assert not np.array_equal(again[0], again[2])


def test_the_interval_is_of_percentiles():
    found = percentile_interval(50.0, RNG.permutation(np.arange(1.0, 1001.0)))
    assert (found.value, found.low, found.high) == (50.0, 26.0, 975.0)


def test_an_end_without_bound_is_none():
    draws = np.concatenate([np.zeros(90), np.full(10, np.inf)])
    assert percentile_interval(0.0, draws) == Estimate(0.0, 0.0, None)


@pytest.mark.parametrize("sources", [None, 40], ids=["prompts", "sources"])
def test_the_interval_holds_the_truth_as_often_as_it_says(sources):
    """400 data sets of 120 prompts; with 40 sources, an interval that ignores them holds it too seldom."""
    rng, held, naively = np.random.default_rng(2), 0, 0
    clusters = np.arange(120) if sources is None else np.repeat(np.arange(sources), 120 // sources)
    for trial in range(400):
        shared = rng.normal(size=clusters.max() + 1)[clusters] * (0 if sources is None else 1)
        gaps = (0.2 + shared + rng.normal(size=120))[:, None]
        held += _holds(gaps, clusters, trial)
        naively += _holds(gaps, np.arange(120), trial)
    assert 0.91 <= held / 400 <= 0.975  # three standard errors are 0.033
    assert sources is None or naively / 400 < 0.88


def _holds(gaps: np.ndarray, clusters: np.ndarray, seed: int) -> bool:
    found = percentile_interval(0.0, resampled_means(gaps, clusters, (seed,), 300)[:, 0])
    return found.low <= 0.2 <= found.high
