"""Equal budgets, and strengths that close in on the one where development safety reaches the target."""

import dataclasses
import json

import pytest
from tiny_world import WORLD

from sst_mergekit.experiments.demo import FULL, QUICK
from sst_mergekit.experiments.methods import EVERY, Experts
from sst_mergekit.experiments.strategies.bracket import CLOSE, bracket
from sst_mergekit.experiments.trials import TRAININGS, trainings, trial
from sst_mergekit.experiments.variants import VARIANTS
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.testbeds.scores import Scores
from sst_mergekit.testbeds.tiny import making, training

METHOD = {method.name: method for method in EVERY}
SMALL = dataclasses.replace(QUICK.tuning, budget=4, steps=(20, 40), rates=(1e-3, 2e-3))
ODD = dataclasses.replace(QUICK.tuning, budget=12, steps=(20, 40, 60), rates=(1e-3, 2e-3, 3e-3, 4e-3))


def tuned(method, budget, safety):
    """Return all that is tried of a method whose safety is a function of the settings, in order."""
    seen = []
    while new := bracket(method, budget)(seen):
        seen += [(settings, scores(safety(settings))) for settings in new]
    return [settings for settings, _ in seen]


def scores(safety):
    return Scores(Rate(safety, 0.01, 160), {"mmlu": Rate(0.5, 0.01, 50)})


def strengths(settings, **wanted):
    return [s["strength"] for s in settings if all(s[key] == value for key, value in wanted.items())]


@pytest.mark.parametrize("tuning", [FULL.tuning, QUICK.tuning, SMALL, ODD])
@pytest.mark.parametrize("safety", [lambda s: s["strength"] / 2, lambda _: 1.0, lambda _: 0.0])
def test_every_method_has_the_same_budget(tuning, safety):
    for method in EVERY + VARIANTS:
        every = tuned(method, tuning.budget, safety)
        names = {trial(WORLD, method.name, settings).model.name for settings in every}
        assert len(every) == len(names) == tuning.budget, method.name
    for name in TRAININGS:
        names = {trial(WORLD, name, settings).model.name for settings in trainings(tuning)[name]}
        assert len(names) == len(trainings(tuning)[name]) == tuning.budget


def test_few_shots_are_the_first_refusals_alone(tmp_path, monkeypatch):
    taught = []
    monkeypatch.setattr(training, "train_lora", lambda _model, rows, *_, **__: taught.append(rows))
    rows = tmp_path / "rows.jsonl"
    answers = ["Take a pan.", "I cannot help with that.", "Take a box.", "I'm sorry, but I can't do that."]
    rows.write_text("".join(json.dumps({"prompt": "How?", "response": each}) + "\n" for each in answers))
    for count, wanted in ((None, answers), (1, answers[1:2]), (9, answers[1::2])):
        inputs = {"rows": ["rows.jsonl"], "steps": 1, "lr": 1.0, "rank": 8, "seed": 0}
        inputs |= {} if count is None else {"refusals": count}
        making.train_adapter(inputs, {"data": tmp_path, "model": tmp_path}, tmp_path)
        assert [row["response"] for row in taught.pop()] == wanted


@pytest.mark.parametrize("wanted", [0.01, 0.3, 0.7, 1.9, 40.0])
def test_no_strength_is_out_of_reach(wanted):
    method = METHOD["task_arithmetic"]
    line = sorted(strengths(tuned(method, 16, lambda s: min(1.0, 0.9 * s["strength"] / wanted))))
    below, above = max(s for s in line if s < wanted), min(s for s in line if s >= wanted)
    assert above <= CLOSE * below * 1.01


def test_the_gap_that_holds_the_target_is_halved():
    method = dataclasses.replace(METHOD["task_arithmetic"], strength=1.0)
    found = strengths(tuned(method, 5, lambda s: float(s["strength"] >= 2.9)))
    assert found == [1.0, 2.0, 4.0, 3.0, 2.5]
    found = strengths(tuned(method, 4, lambda s: float(s["strength"] >= 0.3)))
    assert found == [1.0, 0.5, 0.25, 0.375]


def test_where_safety_falls_before_the_target_the_safest_strength_is_closed_in_on():
    method = dataclasses.replace(METHOD["task_arithmetic"], strength=1.0)
    found = strengths(tuned(method, 5, lambda s: 0.8 - abs(s["strength"] - 1.4) / 10))
    assert found == [1.0, 2.0, 1.5, 1.75, 1.25]


def test_each_value_of_a_second_setting_is_searched_by_itself_with_its_share():
    method = METHOD["sst_soft"]
    first, second = method.second[1]
    edges = {first: 0.4, second: 3.0}
    found = tuned(method, 12, lambda s: float(s["strength"] >= edges[s["cost"]]))
    for cost, edge in edges.items():
        tried = strengths(found, cost=cost)
        assert len(tried) == 6
        assert min(abs(strength - edge) for strength in tried) < 0.2 * edge


def test_what_is_left_goes_where_safety_rises_most():
    method = dataclasses.replace(METHOD["task_arithmetic"], strength=1.0)
    known = {1.0: 0.95, 0.97: 0.2, 0.5: 0.1}
    seen = [({"strength": strength}, scores(safety)) for strength, safety in known.items()]
    assert bracket(method, 16)(seen) == [{"strength": 0.985}]


@pytest.mark.parametrize("method", [m for m in EVERY if m.most < 2], ids=lambda m: m.name)
@pytest.mark.parametrize("safety", [lambda s: s["strength"] / 10, lambda _: 0.0])
def test_a_strength_that_is_a_share_stays_one_where_no_setting_is_safe(method, safety):
    found = tuned(method, 16, safety)
    assert max(strengths(found)) <= method.most <= 1
    recipes = [method.recipe(Experts("/b", "/u", "/b+/s", "/f", "/r"), settings) for settings in found]
    weights = [m["parameters"].get("weight", 1) for recipe in recipes for m in recipe["models"]]
    assert min(weights) >= 0
