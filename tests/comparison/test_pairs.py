"""Laws of a compared metric: swaps, identical runs, constants, and one family for Holm."""

from __future__ import annotations

import numpy as np
import pytest

from sst_mergekit.comparison.joining import Scores
from sst_mergekit.comparison.pairs import Pair, compare_metric, correct
from sst_mergekit.metrics.significance import holm

RNG = np.random.default_rng(4)
VERDICTS = (RNG.random((60, 3)) < [0.3, 0.5, 0.8]).astype(float)
GRADES = RNG.normal(size=(60, 3)) + [0, 0.2, 1]
OWN, SHARED = np.arange(60), np.repeat(np.arange(12), 5)


def compared(values: np.ndarray, clusters: np.ndarray = OWN):
    names = ["a", "b", "c"][: values.shape[1]]
    return compare_metric(Scores("task", "acc", values, clusters, True), names, seed=0, draws=400)


def only(values: np.ndarray, clusters: np.ndarray = OWN) -> Pair:
    (pair,) = compared(values, clusters).pairs
    return pair


@pytest.mark.parametrize(
    ("values", "clusters", "test"),
    [(VERDICTS, OWN, "McNemar"), (GRADES, OWN, "paired t"), (VERDICTS, SHARED, "clustered t")],
)
class TestLaws:
    def test_the_test_fits_the_scores(self, values, clusters, test):
        assert {pair.test for pair in compared(values, clusters).pairs} == {test}

    def test_swapping_the_runs_changes_signs_alone(self, values, clusters, test):
        one, other = only(values[:, :2], clusters), only(values[:, [1, 0]], clusters)
        assert other.difference.value == pytest.approx(-one.difference.value)
        assert other.cohens_d == pytest.approx(-one.cohens_d)
        assert (other.won, other.lost) == (one.lost, one.won)
        assert (other.p, other.p_welch, other.stderr) == pytest.approx((one.p, one.p_welch, one.stderr))
        assert (other.difference.low, other.difference.high) == pytest.approx(
            (-one.difference.high, -one.difference.low)
        )

    def test_a_run_does_not_differ_from_itself(self, values, clusters, test):
        pair = only(values[:, [0, 0]], clusters)
        assert (pair.difference.value, pair.p, pair.p_welch, pair.stderr) == (0, 1, pytest.approx(1), 0)
        assert (pair.won, pair.lost) == (0, 0)
        assert (pair.difference.low, pair.difference.high) == pytest.approx((0, 0), abs=1e-12)

    def test_adding_a_constant_to_all_runs_moves_the_means_alone(self, values, clusters, test):
        before, after = compared(values, clusters), compared(values + 1, clusters)
        assert after.means["b"].value == pytest.approx(before.means["b"].value + 1)
        for one, other in zip(before.pairs, after.pairs, strict=True):
            assert other.difference.low == pytest.approx(one.difference.low)
            assert (other.stderr, other.cohens_d) == pytest.approx((one.stderr, one.cohens_d))

    def test_intervals_lie_around_their_differences(self, values, clusters, test):
        for pair in compared(values, clusters).pairs:
            assert pair.difference.low < pair.difference.value < pair.difference.high
            assert pair.difference.low == pytest.approx(pair.difference.value - 1.96 * pair.stderr, abs=0.06)

    def test_every_pair_is_there_once_later_against_earlier(self, values, clusters, test):
        found = [(pair.run, pair.against) for pair in compared(values, clusters).pairs]
        assert found == [("b", "a"), ("c", "a"), ("c", "b")]


def test_the_order_of_the_prompts_does_not_matter():
    order = RNG.permutation(60)
    for one, other in zip(
        compared(GRADES, SHARED).pairs, compared(GRADES[order], SHARED[order]).pairs, strict=True
    ):
        assert (other.difference.value, other.p) == pytest.approx((one.difference.value, one.p))


def test_means_have_their_standard_error_and_number():
    rate = compared(VERDICTS).means["b"]
    column = VERDICTS[:, 1]
    assert rate.value == pytest.approx(column.mean())
    assert rate.stderr == pytest.approx(column.std(ddof=1) / np.sqrt(60))
    assert rate.n == 60


def test_one_prompt_or_one_source_has_no_interval():
    single = only(VERDICTS[:1, :2], np.zeros(1, dtype=int))
    shared = only(VERDICTS[:, :2], np.zeros(60, dtype=int))
    assert (single.difference.low, single.stderr) == (None, None)
    assert (shared.difference.low, shared.stderr, shared.p) == (None, None, None)


def test_holm_is_over_every_pair_of_every_metric():
    metrics = [compared(VERDICTS), compared(GRADES), compared(VERDICTS[:, :2], np.zeros(60, dtype=int))]
    corrected = correct(metrics)
    tests = [pair.p for metric in metrics[:2] for pair in metric.pairs]
    assert [pair.p_holm for metric in corrected[:2] for pair in metric.pairs] == holm(tests)
    assert corrected[2].pairs[0].p_holm is None
