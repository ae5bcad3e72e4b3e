"""Every test of two sides, and Holm's correction, against enumeration, definitions or scipy's own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sst_mergekit.metrics.resampling import clustered_stderr
from sst_mergekit.metrics.significance import (
    all_pairs,
    by_seed,
    cohens_d,
    holm,
    is_binary,
    mcnemar,
    paired,
    t_test,
    welch,
)

verdicts = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=10
)
SEEDS, OTHERS = [0.9, 0.8, 0.95, 0.7], [0.8, 0.85, 0.9, 0.6]
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
RNG = np.random.default_rng(3)
OURS, THEIRS = RNG.normal(0.3, 1, size=40), RNG.normal(0, 2, size=40)


def naive_mcnemar(pairs: list[tuple[float, float]]) -> float:
    """Toss a coin for every prompt on which the two differ: how often is it at least as uneven as found?"""
    gaps = [a - b for a, b in pairs if a != b]
    tosses = list(itertools.product((-1, 1), repeat=len(gaps)))
    return sum(abs(sum(toss)) >= abs(sum(gaps)) for toss in tosses) / len(tosses)


@given(verdicts)
def test_mcnemar_is_the_count_over_all_coin_tosses(pairs):
    ours, theirs = np.array(pairs).T
    assert mcnemar(ours, theirs) == pytest.approx(naive_mcnemar(pairs))
    assert mcnemar(theirs, ours) == mcnemar(ours, theirs)


def test_the_t_test_of_prompts_of_their_own_is_the_paired_one():
    gaps = OURS - THEIRS
    stderr = clustered_stderr(gaps[:, None], np.arange(40))
    assert t_test(gaps.mean(), float(stderr[0]), 40) == pytest.approx(stats.ttest_rel(OURS, THEIRS).pvalue)


def test_sources_of_equal_size_give_the_t_test_of_their_means():
    gaps, clusters = OURS - THEIRS, np.repeat(np.arange(8), 5)
    stderr = clustered_stderr(gaps[:, None], clusters)
    means = [gaps[clusters == source].mean() for source in range(8)]
    assert t_test(gaps.mean(), float(stderr[0]), 8) == pytest.approx(stats.ttest_1samp(means, 0).pvalue)


@pytest.mark.parametrize(("difference", "stderr", "p"), [(0.0, 0.0, 1.0), (0.1, 0.0, 0.0), (0.1, None, None)])
def test_no_spread_is_certain_and_no_standard_error_is_no_p(difference, stderr, p):
    assert t_test(difference, stderr, 5) == p


def test_welch_is_its_formula():
    a, b = OURS.var(ddof=1) / 40, THEIRS.var(ddof=1) / 40
    freedom = (a + b) ** 2 / (a**2 / 39 + b**2 / 39)
    t = (OURS.mean() - THEIRS.mean()) / math.sqrt(a + b)
    assert welch(OURS, THEIRS) == pytest.approx(2 * stats.t.sf(abs(t), freedom))


def test_welch_without_spread():
    same = np.ones(5)
    assert (welch(same, same), welch(same, 0 * same), welch(same[:1], same[:1])) == (1.0, 0.0, None)


def test_cohens_d_is_in_pooled_standard_deviations():
    d = cohens_d(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0]) - 1)
    assert d == pytest.approx(1 / math.sqrt((1 + 4) / 2))
    assert cohens_d(OURS, THEIRS) == pytest.approx(-cohens_d(THEIRS, OURS))
    assert cohens_d(np.ones(3), np.zeros(3)) is None
    assert cohens_d(np.ones(1), np.zeros(1)) is None


def test_scores_of_0_and_1_alone_are_binary():
    assert is_binary(np.array([0.0, 1.0, 1.0]))
    assert not is_binary(np.array([0.0, 2.0]))


def test_a_difference_is_the_paired_t_test():
    found = paired(SEEDS, OTHERS)
    assert found.mean == pytest.approx(0.05)
    assert (found.won, found.pairs) == (3, 4)
    reference = stats.ttest_rel(SEEDS, OTHERS)
    assert found.p == pytest.approx(reference.pvalue)
    low, high = reference.confidence_interval()
    assert (found.mean - found.margin, found.mean + found.margin) == pytest.approx((low, high))


def test_swapping_the_sides_changes_the_sign_alone():
    one, other = paired(SEEDS, OTHERS), paired(OTHERS, SEEDS)
    assert other.mean == pytest.approx(-one.mean)
    assert other.p == pytest.approx(one.p)


@pytest.mark.parametrize(
    ("ours", "theirs", "p"), [([0.5], [0.4], None), ([1, 1], [1, 1], 1.0), ([2, 3], [1, 2], 0.0)]
)
def test_one_pair_has_no_p_and_equal_gaps_are_certain(ours, theirs, p):
    assert paired(ours, theirs).p == p
    assert paired(ours, theirs).won == sum(a > b for a, b in zip(ours, theirs, strict=True))


def test_seeds_on_which_either_has_nothing_are_left_out():
    ours, theirs = (
        [{"seed": i, "tax": v} for i, v in enumerate(side)] for side in ([1, None, 3], [4, 5, None])
    )
    assert by_seed("tax", ours, theirs) == [(1, 4)]
    assert by_seed("tax", ours, theirs[1:]) == []


@pytest.mark.parametrize(("ours", "theirs"), [([], []), ([1.0], [1.0, 2.0])])
def test_pairs_must_match(ours, theirs):
    with pytest.raises(ValueError, match="as many values on both sides"):
        paired(ours, theirs)


def naive_holm(values):
    """Each adjusted p is the largest (m - rank) p of those not above it."""
    ordered = sorted(values)
    steps = [(len(values) - rank) * p for rank, p in enumerate(ordered)]
    return [min(1.0, max(steps[: ordered.index(p) + ordered.count(p)])) for p in values]


@given(P_VALUES)
def test_holm_equals_its_definition(values):
    assert holm(values) == pytest.approx(naive_holm(values))


@given(P_VALUES)
def test_holm_never_lowers_and_keeps_the_order(values):
    adjusted = holm(values)
    assert all(a >= p for a, p in zip(adjusted, values, strict=True))
    pairs = sorted(zip(values, adjusted, strict=True))
    assert [a for _, a in pairs] == sorted(adjusted)


def test_statistics_are_those_of_scipy():
    ours, theirs = [0.5, 0.6, 0.75], [0.4, 0.55, 0.5]
    rows = {
        name: [{"seed": seed, "tax": value} for seed, value in enumerate(values)]
        for name, values in (("theirs", theirs), ("ours", ours))
    }
    [pair] = all_pairs(rows, ["tax"])["pairs"]
    assert (pair["method"], pair["against"]) == ("ours", "theirs")
    assert pair["p"] == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)
    assert pair["p_welch"] == pytest.approx(stats.ttest_ind(ours, theirs, equal_var=False).pvalue)
    pooled = math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 2)
    assert pair["cohens_d"] == pytest.approx((np.mean(ours) - np.mean(theirs)) / pooled)
    assert pair["p_holm"] == pair["p"]
