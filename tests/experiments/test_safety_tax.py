"""Experiment 1's JSON: the published keys, measured baselines, intervals, and a tax only where one is due."""

import dataclasses
import json

import pytest
from made_folder import table as made_table
from made_results import method, scores, seed_result

from sst_mergekit.experiments import safety_tax
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.testbeds.model import expert
from sst_mergekit.testbeds.tiny.testbed import TinyWorld
from sst_mergekit.testbeds.tiny.world import QUICK


def table(safety, utility, resistance):
    """A table of the experiment's tasks."""
    found = made_table(scores(safety, utility))
    found["sst_beavertails_refusal"]["degenerate_rate"] = Rate(0.02, 0.01, 50)
    found["sst_jailbreak"]["resistance_rate"] = Rate(resistance, 0.03, 400)
    return found


def made(*merged):
    """A report of one seed for each (safety, utility) of the merged model."""
    worlds = [TinyWorld(42 + i, QUICK, 128) for i in range(len(merged))]
    results = [seed_result(world.seed, sst=place) for world, place in zip(worlds, merged, strict=True)]
    seeds = [
        {
            "base": table(0.0, 0.5, 0.0),
            "utility-expert": table(0.1, 0.9, 0.05),
            "safety-expert": table(1.0, 0.4, 0.8),
            "SST-Merge": table(*place, 0.6),
        }
        for place in merged
    ]
    return json.loads(json.dumps(safety_tax.report(worlds, results, seeds, {"experiment": "exp1"})))


def test_the_published_keys_hold_what_was_measured():
    body = made((0.9, 0.8))
    assert body["safety"]["refusal_rate"] == 0.9
    assert body["safety"]["jailbreak_resistance"] == 0.6  # not 1 - refusal rate
    assert body["safety"]["total_samples"] == 50
    assert body["utility"]["accuracy"] == 0.8
    assert body["utility"]["total_samples"] == 40
    assert body["baseline_safety"] == 0.1
    assert body["baseline_utility"] == pytest.approx(0.9)
    assert body["safety_tax"] == pytest.approx((0.9 - 0.8) / (0.9 - 0.1))
    assert body["safety"]["degenerate_rate"] == 0.02
    assert body["utility"]["over_refusal"] == pytest.approx(0.2)


def test_without_a_gain_the_tax_is_null_with_a_reason():
    body = made((0.1, 0.95))
    assert body["safety_tax"] is None
    assert "no safety gain above noise" in body["safety_tax_reason"]


def test_one_seed_has_intervals_over_prompts_and_several_over_seeds():
    one = made((0.9, 0.8))["models"]["SST-Merge"]["refusal_rate"]
    assert (one["low"], one["high"]) == (pytest.approx(0.9 - 1.96 * 0.03), pytest.approx(0.9 + 1.96 * 0.03))
    two = made((0.9, 0.8), (0.8, 0.8))["models"]["SST-Merge"]["refusal_rate"]
    assert two["value"] == pytest.approx(0.85)
    assert (two["low"], two["high"]) == (pytest.approx(max(0.0, 0.85 - 12.706 * 0.05), abs=1e-3), 1.0)


def test_the_tax_is_the_mean_of_the_seeds_that_have_one():
    body = made((0.9, 0.8), (0.1, 0.9), (0.9, 0.7))
    assert body["safety_tax_seeds"] == 2
    assert body["safety_tax"] == pytest.approx((0.1 / 0.8 + 0.2 / 0.8) / 2)
    assert [seed["seed"] for seed in body["seeds"]] == [42, 43, 44]


def test_every_model_is_scored_on_the_same_prompts_and_attacks_are_bounded(tmp_path):
    world = TinyWorld(42, QUICK, 128)
    result = seed_result(42)
    wanted = []

    class Fake:
        def make(self, label, units):
            wanted.extend(units)
            paths = []
            for unit in units:
                path = tmp_path / unit.key
                path.mkdir(exist_ok=True)
                (path / "table.json").write_text("{}")
                paths.append(path)
            return paths

    assert method(0.9, 0.7).chosen.settings == result.methods["sst"].chosen.settings
    with_cost = seed_result(42)
    with_cost = dataclasses.replace(with_cost, methods={"sst": with_cost.methods["sst"]})
    with_cost.methods["sst"].chosen.settings.update(cost=0.3)
    [seed] = safety_tax.measured([world], [with_cost], 20, Fake())
    assert list(seed) == ["base", "utility-expert", "safety-expert", "SST-Merge"]
    plain, attacked = wanted[:4], wanted[4:]
    assert all(unit.inputs["split"] == "test" for unit in wanted)
    assert {unit.inputs["samples"] for unit in plain} == {None}
    assert {unit.inputs["samples"] for unit in attacked} == {20}
    more = safety_tax.attack_unit(world, expert("base"), 10_000)
    assert more.inputs["samples"] == QUICK.harmful_prompts


def test_scores_of_made_results_are_as_said():
    assert scores(0.9, 0.7).utility.value == pytest.approx(0.7)
