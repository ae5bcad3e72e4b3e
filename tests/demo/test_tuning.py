"""Equal budgets, and half of each where the development safety crosses the target."""

import dataclasses
import json
from collections import Counter

import pytest

from sst_mergekit.demo.candidates import Training
from sst_mergekit.demo.family import EVERY
from sst_mergekit.demo.methods import Experts
from sst_mergekit.demo.plan import FULL, QUICK, TRAININGS, SeedPlan
from sst_mergekit.demo.results import Point
from sst_mergekit.demo.scoring import Scores
from sst_mergekit.demo.tuning import coarse, fine
from sst_mergekit.demo.variants import VARIANTS
from sst_mergekit.evaluation.tradeoff import Rate

METHOD = {method.name: method for method in EVERY}


def scored(settings, safety):
    part = Rate(0.5, 0.01, 50)
    return [Point(s, Scores(Rate(safety(s), 0.01, 160), part, part, part)) for s in settings]


def strengths(settings, **wanted):
    return [s["strength"] for s in settings if all(s[key] == value for key, value in wanted.items())]


SMALL = dataclasses.replace(QUICK, budget=4, steps=(20, 40), rates=(1e-3, 2e-3))
ODD = dataclasses.replace(QUICK, budget=12, steps=(20, 40, 60), rates=(1e-3, 2e-3, 3e-3, 4e-3))


@pytest.mark.parametrize("size", [FULL, QUICK, SMALL, ODD])
@pytest.mark.parametrize("safety", [lambda s: s["strength"] / 2, lambda _: 1.0, lambda _: 0.0])
def test_every_method_has_the_same_budget(size, safety, tmp_path):
    plan = SeedPlan(tmp_path, 0, size)
    for method in EVERY + VARIANTS:
        first = coarse(method, size.budget)
        every = first + fine(method, size.budget, scored(first, safety))
        names = {plan.merge(method, settings).candidate.name for settings in every}
        assert len(every) == len(names) == size.budget, method.name
    trials = plan.trainings()
    assert len({trial.candidate.name for trial in trials}) == len(trials)
    assert Counter(trial.method for trial in trials) == dict.fromkeys(TRAININGS, size.budget)


def test_few_shots_are_the_first_refusals_alone(tmp_path):
    rows = tmp_path / "rows.jsonl"
    answers = ["Take a pan.", "I cannot help with that.", "Take a box.", "I'm sorry, but I can't do that."]
    rows.write_text("".join(json.dumps({"prompt": "How?", "response": each}) + "\n" for each in answers))
    for count, wanted in ((None, answers), (1, answers[1:2]), (9, answers[1::2])):
        taught = Training("", tmp_path, (rows,), tmp_path, 1, 1.0, 0, count).taught()
        assert [row["response"] for row in taught] == wanted


def test_the_first_half_spans_the_range():
    low, high = METHOD["task_arithmetic"].strengths
    tried = strengths(coarse(METHOD["task_arithmetic"], 16))
    assert (tried[0], tried[-1], len(tried)) == (low, high, 8)
    values = METHOD["sst_soft"].second[1]
    assert [len(strengths(coarse(METHOD["sst_soft"], 16), cost=value)) for value in values] == [4, 4]


def test_the_second_half_lies_between_the_last_unsafe_and_the_first_safe():
    method = METHOD["task_arithmetic"]
    first = coarse(method, 16)
    low, high = first[2]["strength"], first[3]["strength"]
    found = strengths(fine(method, 16, scored(first, lambda s: 0.9 if s["strength"] >= high else 0.89)))
    assert len(found) == 8
    assert all(low < strength < high for strength in found)


def test_each_second_setting_is_searched_by_itself():
    method = METHOD["sst_soft"]
    cheap, dear = method.second[1]
    first = coarse(method, 16)
    edges = {cheap: strengths(first, cost=cheap)[1], dear: strengths(first, cost=dear)[3]}
    found = fine(method, 16, scored(first, lambda s: float(s["strength"] >= edges[s["cost"]])))
    for cost, place in ((cheap, 0), (dear, 2)):
        low, high = strengths(first, cost=cost)[place : place + 2]
        assert all(low < strength < high for strength in strengths(found, cost=cost))


def test_below_the_lowest_strength_where_that_is_safe():
    method = METHOD["linear"]
    found = strengths(fine(method, 16, scored(coarse(method, 16), lambda _: 1.0)))
    assert all(0 < strength < method.strengths[0] for strength in found)


def test_around_the_safest_where_nothing_is_safe():
    method = METHOD["task_arithmetic"]
    first = coarse(method, 16)
    tried = strengths(first)
    found = strengths(fine(method, 16, scored(first, lambda s: 0.5 - abs(s["strength"] - tried[4]))))
    assert all(tried[3] < strength < tried[5] for strength in found)
    found = strengths(fine(method, 16, scored(first, lambda s: s["strength"] / 10)))  # safer still beyond
    assert tried[6] < found[0]
    assert tried[7] < found[-1] < 2 * tried[7] - tried[6]


@pytest.mark.parametrize("method", [m for m in EVERY if m.most < 2], ids=lambda m: m.name)
def test_a_strength_that_is_a_share_stays_one_where_no_setting_is_safe(method):
    first = coarse(method, 16)
    found = first + fine(method, 16, scored(first, lambda s: s["strength"] / 10))
    assert max(strengths(found)) <= method.most == 1
    recipes = [method.recipe(Experts("/b", "/u", "/b+/s", "/f", "/r"), settings) for settings in found]
    weights = [m["parameters"].get("weight", 1) for recipe in recipes for m in recipe["models"]]
    assert min(weights) >= 0
