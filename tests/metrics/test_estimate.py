"""Estimates against their formulas and scipy: Wilson, Student's t, one seed, nothing to measure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.stats

from sst_mergekit.metrics.estimate import (
    UNIT,
    Estimate,
    Rate,
    known_over_seeds,
    mean_rate,
    over_prompts,
    over_seeds,
    plain,
    t_interval,
    wilson,
)

SEEDS = [0.1, 0.3, 0.2, 0.5]
LOW, HIGH = scipy.stats.t.interval(0.95, 3, loc=np.mean(SEEDS), scale=scipy.stats.sem(SEEDS))


@pytest.mark.parametrize(("count", "n"), [(0, 7), (3, 7), (7, 7), (1, 1), (50, 2000)])
def test_the_interval_is_wilsons_formula(count, n):
    z, p = 1.959963984540054, count / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = wilson(count, n)
    assert (found.value, found.low, found.high) == pytest.approx((p, centre - half, centre + half))


@pytest.mark.parametrize(("count", "n"), [(0, 200), (180, 200), (200, 200), (1, 2)])
def test_a_mean_of_zeros_and_ones_is_a_share(count, n):
    stderr = np.std([1] * count + [0] * (n - count), ddof=1) / math.sqrt(n)
    found, share = over_prompts(count / n, stderr, n), wilson(count, n)
    assert (found.low, found.high, found.stderr, found.n) == (share.low, share.high, stderr, n)


@pytest.mark.parametrize(
    ("value", "stderr", "n"), [(0.5, 0.3, 10), (3.0, 0.5, 10), (0.0, 0.0, 1), (1, 0.1, None)]
)
def test_any_other_mean_has_a_normal_interval(value, stderr, n):
    found = over_prompts(value, stderr, n)
    assert (found.low, found.high) == pytest.approx(scipy.stats.norm.interval(0.95, value, stderr or 1e-300))


def test_nothing_measured_is_undefined_and_no_error_is_no_interval():
    assert wilson(0, 0, "no prompt") == Estimate(None, n=0, reason="no prompt")
    assert over_prompts(0.5, None, 10) == Estimate(0.5, n=10)


def test_mean_rate_propagates_errors():
    parts = Rate(0.2, 0.03, 100), Rate(0.6, 0.04, 100)
    assert mean_rate(parts) == Rate(pytest.approx(0.4), pytest.approx(0.025), 200)
    assert mean_rate([parts[0], Rate(0.6, None, 100)]).stderr is None


def test_the_interval_over_seeds_is_students():
    mean, half = t_interval(SEEDS)
    assert (mean - half, mean + half) == pytest.approx((LOW, HIGH))
    assert t_interval([0.3]) == (0.3, None)
    found = over_seeds(SEEDS, stderr=9.0)  # of several seeds the prompts' error says nothing
    assert (found.value, found.low, found.high, found.n) == pytest.approx((0.275, LOW, HIGH, 4))


def test_one_seed_has_the_interval_of_its_prompts_or_none():
    assert over_seeds([0.5], 0.1) == Estimate(0.5, pytest.approx(0.304), pytest.approx(0.696), n=1)
    assert over_seeds([0.5]) == Estimate(0.5, n=1)


def test_rates_stay_rates():
    assert over_seeds([0.0, 1.0], within=UNIT) == Estimate(0.5, 0.0, 1.0, n=2)
    assert over_seeds([0.0, 1.0]).high > 1


def test_seeds_without_a_value_are_left_out():
    assert known_over_seeds([None, 0.4], ["no gain", None]) == Estimate(0.4, n=1)
    assert known_over_seeds([None, None], [None, "no gain"]) == Estimate(None, n=0, reason="no gain")


def test_plain_data_names_the_fields_of_estimates_at_any_depth():
    @dataclass
    class Found:
        name: str
        each: dict[str, list[Estimate | None]]

    found = plain(Found("a", {"x": [Estimate(0.5, 0.4, None), None]}), ("value", "low", "high"))
    assert found == {"name": "a", "each": {"x": [{"value": 0.5, "low": 0.4, "high": None}, None]}}
