"""Paired differences and Holm's correction, against scipy and by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from sst_mergekit.evaluation.paired import holm, paired

OURS, THEIRS = [0.9, 0.8, 0.95, 0.7], [0.8, 0.85, 0.9, 0.6]
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_a_difference_is_the_paired_t_test():
    found = paired(OURS, THEIRS)
    assert found.mean == pytest.approx(0.05)
    assert (found.won, found.pairs) == (3, 4)
    reference = ttest_rel(OURS, THEIRS)
    assert found.p == pytest.approx(reference.pvalue)
    low, high = reference.confidence_interval()
    assert (found.mean - found.margin, found.mean + found.margin) == pytest.approx((low, high))


def test_swapping_the_sides_changes_the_sign_alone():
    one, other = paired(OURS, THEIRS), paired(THEIRS, OURS)
    assert other.mean == pytest.approx(-one.mean)
    assert other.p == pytest.approx(one.p)


@pytest.mark.parametrize(
    ("ours", "theirs", "p"), [([0.5], [0.4], None), ([1, 1], [1, 1], 1.0), ([2, 3], [1, 2], 0.0)]
)
def test_one_pair_has_no_p_and_equal_gaps_are_certain(ours, theirs, p):
    assert paired(ours, theirs).p == p


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
