"""The tiny world as units: a recipe's units are its parents, and only what matters is in a key."""

import dataclasses

import pytest
from tiny_world import WORLD

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.config import load
from sst_mergekit.experiments.demo import QUICK as DEMO
from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.strategies.bracket import bracket
from sst_mergekit.experiments.trials import FEW_SHOT, TRAINED, Tuning, same_budget, trainings, trial
from sst_mergekit.jobs.unit import with_parents
from sst_mergekit.resources import recipes_path
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.model import SYMBOLIC, expert
from sst_mergekit.testbeds.tiny import making
from sst_mergekit.testbeds.tiny import sizes as tiny
from sst_mergekit.testbeds.tiny.testbed import TinyWorld
from sst_mergekit.testbeds.tiny.world import QUICK, drifted

METHODS = {method.name: method for method in EVERY}


def merge(name, world=WORLD, **settings):
    return trial(world, name, {**bracket(METHODS[name], 8)([])[0], **settings}).model


def test_a_merge_needs_what_its_recipe_names():
    unit = WORLD.score(merge("sst"), "dev")
    assert set(unit.parents) == {
        *("data", "base", "utility", "safety", "utility-kronecker", "safety-kronecker"),
        "folded safety",
    }
    linear = WORLD.score(merge("linear"), "dev")
    assert set(linear.parents) == {"data", "base", "utility", "safety", "folded safety"}
    refit = WORLD.score(merge("sst_refit"), "dev")
    assert "folded refit/0.0015" in refit.parents


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_units(name):
    kinds = [unit.kind for layer in with_parents([WORLD.score(merge(name), "dev")]) for unit in layer]
    assert kinds[0] == "data"
    assert kinds[-1] == "score"
    assert {"train", "fold"} <= set(kinds)


def test_the_key_has_what_matters_and_nothing_else():
    key = WORLD.score(merge("sst"), "dev").key
    other_world = dataclasses.replace(QUICK, base_steps=501)
    others = [
        WORLD.score(merge("sst"), "test"),
        WORLD.score(merge("sst", strength=0.4), "dev"),
        (other := TinyWorld(43, QUICK, 128)).score(merge("sst", other), "dev"),
        TinyWorld(42, QUICK, 64).score(merge("sst"), "dev"),
        TinyWorld(42, other_world, 128).score(merge("sst"), "dev"),
        TinyWorld(42, QUICK, 128, batch_size=8).score(merge("sst"), "dev"),
    ]
    assert len({key, *(unit.key for unit in others)}) == 7


def test_a_new_version_of_a_task_is_another_unit(monkeypatch):
    before = WORLD.score(expert("base"), "test").key
    assert before == WORLD.score(expert("base"), "test").key
    monkeypatch.setattr(scoring, "task_versions", lambda tasks: dict.fromkeys(tasks, "99"))
    assert before != WORLD.score(expert("base"), "test").key


def test_task_versions_are_those_of_the_tasks():
    assert scoring.task_versions(["sst_jailbreak"]) == {"sst_jailbreak": "1.0"}


def test_training_is_tried_only_where_asked_for():
    assert trainings(dataclasses.replace(DEMO.tuning, methods=("sst",))) == {}
    found = trainings(DEMO.tuning)
    assert {name: len(each) for name, each in found.items()} == dict.fromkeys(
        (TRAINED, FEW_SHOT), DEMO.tuning.budget
    )
    first, last = trial(WORLD, TRAINED, found[TRAINED][0]), trial(WORLD, FEW_SHOT, found[FEW_SHOT][-1])
    assert WORLD.score(first.model, "dev").parents["trained/20/0.002"].work is making.train_adapter
    few = WORLD.score(last.model, "dev").parents["few_shot/16/10/0.016"]
    assert (few.inputs["refusals"], few.inputs["rows"]) == (16, ["calibration/harm.jsonl"])


def test_the_utility_expert_of_a_drifted_world_comes_from_the_aligned_model():
    world = TinyWorld(0, drifted(QUICK), 128)
    assert set(world.unit("utility").parents) == {"data", "aligned"}
    assert set(WORLD.unit("utility").parents) == {"data", "base"}
    assert "aligned" in world.score(merge("lox", world), "dev").parents


def test_units_of_two_modules_with_one_function_name_differ():
    from sst_mergekit.jobs.unit import Unit
    from sst_mergekit.testbeds.real import making as other

    keys = {Unit("statistics", "one", work, {}).key for work in (making.measure, other.measure)}
    assert len(keys) == 2


def test_a_recipe_on_disk_names_the_results(tmp_path, monkeypatch):
    inputs = {"recipe": METHODS["task_arithmetic"].recipe(SYMBOLIC, {"strength": 0.5}), "seed": 1}
    parents = {name: tmp_path / name for name in ("base", "utility", "safety", "folded safety")}
    (tmp_path / "folded safety" / "whole").mkdir(parents=True)
    out = tmp_path / "out"
    out.mkdir()
    asked = []

    def merge_recipe(recipe, target, cache, seed):
        asked.append((recipe.read_text(), (cache / "whole").is_dir(), seed))
        target.mkdir()

    monkeypatch.setattr(scoring, "run_recipe", merge_recipe)
    with scoring.checkpoint(inputs, parents, out) as (model, adapter):
        assert model.is_dir()
        assert adapter is None
    assert not model.exists()
    [(text, folded, seed)] = asked
    assert "unit:" not in text
    assert f"model: {tmp_path}/base+{tmp_path}/safety" in text
    assert folded
    assert seed == 1


def model(**changes):
    found = load(recipes_path() / "experiments" / "experiments.yml").models["tiny-world"]
    sizes = dataclasses.replace(found.sizes["minimal"], **changes.pop("sizes", {}))
    return dataclasses.replace(found, sizes={"minimal": sizes}, **changes)


def test_training_has_the_same_budget_or_is_refused():
    tuning = Tuning(4, (1, 2, 3, 4), (1e-3, 2e-3), ("sst", TRAINED))
    assert len(trainings(same_budget(tuning, "here"))[TRAINED]) == 4
    with pytest.raises(SstError, match=r"here: lora_training has no 16 settings .*at most 8"):
        same_budget(dataclasses.replace(tuning, budget=16), "here")


def test_the_counts_are_those_of_the_configuration():
    [world] = tiny.worlds(model(), "minimal", range(42, 43))
    size = world.size
    assert (size.harmful_prompts, size.choice_questions, size.programs) == (168, 160, 96)
    assert (world.samples, world.batch_size) == (256, 256)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"device_map": "auto"}, r"models\.tiny-world\.device_map: got 'auto'"),
        ({"torch_dtype": "float16"}, "torch_dtype 'float32'"),
        ({"use_flash_attention": True}, "no flash attention"),
        ({"sizes": {"subjects": 2}}, "mmlu.subjects: the tiny world asks all"),
        ({"sizes": {"harmful": 2000}}, "minimal.beavertails.eval_samples: 2000 is more .*at most 210"),
        ({"sizes": {"batch_sizes": {"a": 1, "b": 2}}}, "batch_size differs"),
    ],
)
def test_what_the_tiny_world_cannot_honour_is_an_error(changes, line):
    with pytest.raises(SstError, match=line):
        tiny.worlds(model(**changes), "minimal", range(42, 43))
