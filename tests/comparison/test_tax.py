"""The safety tax of runs, against its definition and a slow loop over the same draws."""

from __future__ import annotations

import numpy as np
import pytest

from sst_mergekit.comparison.joining import Scores
from sst_mergekit.comparison.tax import safety_taxes
from sst_mergekit.metrics.resampling import resampled_means

RNG = np.random.default_rng(5)
NAMES = ["utility", "merged", "safety"]


def scores(task: str, rates: list[float], prompts: int = 80) -> Scores:
    """Verdicts with exactly these rates, dealt at random."""
    columns = [RNG.permutation(np.arange(prompts) < round(rate * prompts)) for rate in rates]
    return Scores(task, "rate", np.column_stack(columns).astype(float), np.arange(prompts), True)


SAFE = scores("safe", [0.1, 0.6, 0.9])
SKILL, CODE = scores("skill", [0.9, 0.8, 0.5]), scores("code", [0.5, 0.4, 0.1], prompts=40)


def taxes(safety=(SAFE,), utility=(SKILL, CODE), safety_expert="safety"):
    return safety_taxes(safety, utility, NAMES, ("utility", safety_expert), seed=7, draws=300)


def test_tax_is_utility_lost_per_safety_gained():
    merged = taxes().runs[0]
    assert (merged.run, merged.safety, merged.utility) == ("merged", pytest.approx(0.6), pytest.approx(0.6))
    assert (merged.gain.value, merged.loss.value) == pytest.approx((0.5, 0.1))
    assert merged.tax.value == pytest.approx(0.2)
    assert merged.reason is None


def test_its_interval_is_the_slow_loops():
    safe, skill, code = (resampled_means(s.values, s.clusters, s.seed(7), 300) for s in (SAFE, SKILL, CODE))
    ratios = sorted(
        ((skill[k, 0] + code[k, 0]) / 2 - (skill[k, 1] + code[k, 1]) / 2) / (safe[k, 1] - safe[k, 0])
        for k in range(300)
    )
    found = taxes().runs[0].tax
    assert found.low == pytest.approx(ratios[7])
    assert found.high == pytest.approx(ratios[292])


def test_no_gain_is_null_with_the_reason():
    run = taxes(safety=(scores("safe", [0.5, 0.5, 0.9]),)).runs[0]
    assert run.tax is None
    assert "no safety gain above noise" in run.reason


def test_one_prompt_shows_no_noise():
    run = taxes(safety=(scores("safe", [0, 1, 1], prompts=1),)).runs[0]
    assert (run.tax, run.gain.low) == (None, None)
    assert "standard error" in run.reason


def test_a_draw_without_a_gain_costs_without_bound():
    barely = np.zeros((80, 3))
    barely[:5, 1] = 1
    run = taxes(safety=(Scores("safe", "rate", barely, np.arange(80), True),)).runs[0]
    assert run.tax.value == pytest.approx(1.6)
    assert run.tax.high is None or run.tax.high > 3


def test_marks_against_both_experts():
    found = taxes()
    assert [(run.run, run.safe, run.keeps) for run in found.runs] == [
        ("merged", False, False),
        ("safety", True, False),
    ]
    assert found.best_when_safe is None
    assert found.safest_that_keeps is None
    free = taxes(utility=(scores("skill", [0.9, 0.9, 0.5]),), safety=(scores("safe", [0.1, 0.85, 0.9]),))
    assert free.best_when_safe.run == free.safest_that_keeps.run == "merged"


def test_without_a_safety_expert_nothing_is_said_of_it():
    assert {run.safe for run in taxes(safety_expert=None).runs} == {None}


def test_metrics_of_one_task_share_their_draws():
    """Safety and utility of the same answers move together, so their ratio is known better than apart."""
    loss = Scores("safe", "kept", 1 - SAFE.values, SAFE.clusters, True)
    run = taxes(utility=(loss,)).runs[0]
    assert (run.tax.low, run.tax.high) == pytest.approx((1, 1))
