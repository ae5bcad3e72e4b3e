import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.metrics.tradeoff import hypervolume, pareto, safety_tax, tax_cut, utility_at

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


@given(points, shares)
def test_utility_at_is_on_the_line_between_two_settings(front, safety):
    """The naive twin: the best of all lines between an undominated point and the next."""
    found, edge = utility_at(front, safety), pareto(front)
    if safety > edge[-1][0]:
        assert found is None
    else:
        xs, ys = zip(*edge, strict=True)
        assert found == pytest.approx(np.interp(safety, xs, ys))


@pytest.mark.parametrize(
    ("ours", "theirs", "cut"), [(0.1, 0.4, 0.75), (0.5, 0.4, -0.25), (0.1, 0.0, None), (None, 1, None)]
)
def test_a_cut_is_a_share_of_what_the_baseline_pays(ours, theirs, cut):
    assert tax_cut(ours, theirs) == (None if cut is None else pytest.approx(cut))
