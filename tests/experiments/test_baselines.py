"""Experiment 3's JSON: the published paths, statistics over seeds, and who may be the best."""

import json

import pytest
from made_results import METHODS, seed_result

from sst_mergekit.experiments.baselines import best_method, report, spread

LONGS = ["Task-Arithmetic", "TIES-Merging", "DARE", "AlignGuard-LoRA", "SST-Merge"]


def made(*utilities, **others):
    results = [seed_result(42 + i, sst=(0.9, u), **others) for i, u in enumerate(utilities)]
    return json.loads(json.dumps(report(results, {"experiment": "exp3", "seeds": [42]})))


def test_the_published_paths_hold():
    body = made(0.8, 0.82, 0.84)
    for name in ("TA", "TIES", "DARE", "AGL", "SST-Merge"):
        assert set(body[name]) >= {"safety_score", "utility_score", "safety_tax"}
    rows = [row for row in body["results"] if row["method"] in LONGS]
    assert [row["method"] for row in rows[:5]] == LONGS
    assert [row["seed"] for row in rows if row["method"] == "SST-Merge"] == [42, 43, 44]
    found = body["analysis"]["SST-Merge"]["utility_score"]
    assert found["mean"] == pytest.approx(0.82)
    assert found["std"] == pytest.approx(0.02)
    assert (found["min"], found["max"], found["n"]) == (pytest.approx(0.8), pytest.approx(0.84), 3)
    assert body["SST-Merge"]["utility_score"] == found["mean"]
    assert body["config"]["best_method_by"].startswith("highest mean hypervolume")


def test_unmerged_experts_are_rows_too():
    body = made(0.8)
    experts = {row["method"]: row for row in body["results"] if row["method"] not in LONGS}
    assert list(experts) == ["base", "utility-expert", "safety-expert"]
    assert experts["safety-expert"]["safety_tax"] == pytest.approx((0.9 - 0.4) / (1.0 - 0.1))
    assert experts["utility-expert"]["safety_tax"] is None
    assert "measured against" in experts["utility-expert"]["safety_tax_reason"]


def test_one_seed_has_no_spread():
    assert made(0.8)["analysis"]["SST-Merge"]["safety_tax"]["std"] is None


def test_the_best_has_a_gain():
    assert made(0.8, 0.8)["analysis"]["best_method"] == "SST-Merge"
    assert made(0.6, 0.6, ties=(0.95, 0.8))["analysis"]["best_method"] == "TIES-Merging"
    body = made(0.8, ties=(0.1, 0.99))  # more utility, no safety: no tax, not eligible
    [row] = [row for row in body["results"] if row["method"] == "TIES-Merging"]
    assert row["safety_tax"] is None
    assert "no safety gain above noise" in row["safety_tax_reason"]
    assert body["analysis"]["best_method"] == "SST-Merge"
    assert body["analysis"]["TIES-Merging"]["safety_tax"] == spread([], 1)


def test_nobody_is_best_without_a_gain_and_no_control_ever():
    nothing = dict.fromkeys(METHODS, (0.1, 0.9))
    assert report([seed_result(42, **nothing)], {})["analysis"]["best_method"] is None
    rows = [{"safety_tax": 0.1, "hypervolume": 0.9}]
    assert (
        best_method({"sst_shuffled": rows, "sst": [{"safety_tax": 0.2, "hypervolume": 0.5}]}) == "SST-Merge"
    )


def test_holm_is_over_all_pairs_and_metrics():
    body = made(0.8, 0.83)["statistics"]["pairs"]
    assert len(body) == 4 * 10
    for pair in body:
        if pair["p"] is not None:
            assert pair["p_holm"] >= pair["p"]
    tested = [pair for pair in body if pair["p"] not in (None, 1.0)]
    assert any(pair["p_holm"] > pair["p"] for pair in tested)


def test_seeds_without_a_tax_are_left_out_and_counted():
    results = [seed_result(42), seed_result(43, sst=(0.1, 0.9))]
    pairs = report(results, {})["statistics"]["pairs"]
    [pair] = [
        p
        for p in pairs
        if (p["metric"], p["method"], p["against"]) == ("safety_tax", "SST-Merge", "Task-Arithmetic")
    ]
    assert (pair["pairs"], pair["seeds_left_out"], pair["p"]) == (1, 1, None)


def test_targets_are_judged_by_our_own_measurement():
    met = made(0.85, 0.85)["targets"]
    assert [one["verdict"] for one in met] == ["met", "met", "met"]
    assert met[0]["measured"] == pytest.approx(1 - 0.05 / 0.2)
    assert [one["verdict"] for one in made(0.75)["targets"]] == ["not met", "met", "not met"]
    undefined = made(0.8, task_arithmetic=(0.1, 0.9))["targets"][0]
    assert undefined["verdict"] == "undefined"
    assert "no seed" in undefined["reason"]
