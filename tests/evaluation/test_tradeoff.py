import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from sst_mergekit.evaluation.tradeoff import Rate, hypervolume, interval, mean_rate, pareto, safety_tax

shares = st.integers(0, 20).map(lambda n: n / 20)
points = st.lists(st.tuples(shares, shares), min_size=1, max_size=8)


def rate(value, stderr=0.01):
    return Rate(value, stderr, 100)


@given(points)
def test_hypervolume_counts_dominated_cells(front):
    """The naive twin: cells of a 20 x 20 grid below some point."""
    corner = (np.arange(20) + 0.5) / 20
    covered = np.zeros((20, 20), bool)
    for safety, utility in front:
        covered |= (corner[:, None] < safety) & (corner[None, :] < utility)
    assert hypervolume(front) == pytest.approx(covered.mean())


@given(points)
def test_pareto_keeps_exactly_the_undominated(front):
    undominated = {p for p in front if not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in front)}
    assert pareto(front) == sorted(undominated)


def test_tax_is_loss_per_gain():
    tax = safety_tax(rate(0.9), rate(0.1), rate(0.7), rate(0.9))
    assert (tax.gain, tax.loss, tax.value) == pytest.approx((0.8, 0.2, 0.25))
    assert tax.reason is None


@pytest.mark.parametrize("after", [0.05, 0.1, 0.12])
def test_no_gain_is_no_tax_rather_than_zero(after):
    tax = safety_tax(rate(after), rate(0.1), rate(0.7), rate(0.9))
    assert tax.value is None
    assert "no safety gain above noise" in tax.reason


def test_unknown_errors_make_no_tax():
    tax = safety_tax(rate(0.9, None), rate(0.1), rate(0.7), rate(0.9))
    assert tax.value is None
    assert "standard error" in tax.reason


def test_mean_rate_propagates_errors():
    mean = mean_rate([rate(0.2, 0.03), rate(0.6, 0.04)])
    assert mean == Rate(pytest.approx(0.4), pytest.approx(0.025), 200)
    assert mean_rate([rate(0.2), rate(0.6, None)]).stderr is None


def test_interval_is_students():
    values = [0.1, 0.3, 0.2, 0.5]
    mean, half = interval(values)
    low, high = scipy.stats.t.interval(0.95, 3, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert interval([0.3]) == (0.3, None)
