"""Kappa against its definition, and by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_mergekit.judging.agreement import Agreement, agreement

RATED = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


def naive_kappa(rated: list[tuple[bool, bool]]) -> float | None:
    """Every answer of the first rater against every answer of the second gives the chance agreement."""
    observed = sum(a == b for a, b in rated) / len(rated)
    chance = sum(a == b for a, _ in rated for _, b in rated) / len(rated) ** 2
    return None if chance == 1 else (observed - chance) / (1 - chance)


@given(RATED)
def test_kappa_is_its_definition(rated):
    expected = naive_kappa(rated)
    assert agreement(rated).kappa == (None if expected is None else pytest.approx(expected))


@given(RATED)
def test_swapping_raters_or_answers_changes_nothing(rated):
    kappa = agreement(rated).kappa
    swapped, turned = [(b, a) for a, b in rated], [(not a, not b) for a, b in rated]
    for other in (swapped, turned):
        assert agreement(other).kappa == (None if kappa is None else pytest.approx(kappa))


def test_cohens_kappa_by_hand():
    """20 both, 5 first only, 10 second only, 15 neither: o = 35/50, e = (25 * 30 + 25 * 20) / 50^2 = 0.5."""
    table = Agreement(20, 5, 10, 15)
    assert (table.n, table.observed, table.expected) == (50, 0.7, 0.5)
    assert table.kappa == pytest.approx(0.4)
    assert table.kappa_stderr == pytest.approx(math.sqrt(0.7 * 0.3 / 50) / 0.5)


def test_kappa_agrees_with_scikit_learn():
    from sklearn.metrics import cohen_kappa_score

    rated = [(True, True)] * 7 + [(True, False)] * 2 + [(False, True)] + [(False, False)] * 4
    first, second = zip(*rated, strict=True)
    assert agreement(rated).kappa == pytest.approx(cohen_kappa_score(first, second))


@pytest.mark.parametrize("rated", [[], [(True, True)] * 3, [(False, False)]])
def test_kappa_is_undefined_where_all_say_the_same(rated):
    assert agreement(rated).kappa is None
    assert agreement(rated).kappa_stderr is None
