"""The tiny world as units: a recipe's units are its parents, and only what matters is in a key."""

import dataclasses

import pytest

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.config import load
from sst_mergekit.experiments.demo_plan import QUICK, TRAINED
from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.tuning import propose
from sst_mergekit.jobs.unit import with_parents
from sst_mergekit.resources import recipes_path
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.tiny import making
from sst_mergekit.testbeds.tiny import sizes as tiny
from sst_mergekit.testbeds.tiny.testbed import World, expert

METHODS = {method.name: method for method in EVERY}
WORLD = World(42, QUICK)


def merge(name, world=WORLD, **settings):
    method = METHODS[name]
    return world.merge(method, {**propose(method, 8, [])[0], **settings}).candidate


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
    tuned = World(42, dataclasses.replace(QUICK, budget=16, methods=("sst",)))
    assert tuned.score(merge("sst", tuned), "dev").key == key
    other_world = dataclasses.replace(QUICK, world=dataclasses.replace(QUICK.world, base_steps=501))
    others = [
        WORLD.score(merge("sst"), "test"),
        WORLD.score(merge("sst", strength=0.4), "dev"),
        World(43, QUICK).score(merge("sst", World(43, QUICK)), "dev"),
        World(42, dataclasses.replace(QUICK, samples=64)).score(merge("sst"), "dev"),
        World(42, other_world).score(merge("sst"), "dev"),
        World(42, QUICK, batch_size=8).score(merge("sst"), "dev"),
    ]
    assert len({key, *(unit.key for unit in others)}) == 7


def test_a_new_version_of_a_task_is_another_unit(monkeypatch):
    before = WORLD.score(expert("base"), "test").key
    assert before == WORLD.score(expert("base"), "test").key
    monkeypatch.setattr(scoring, "task_versions", lambda tasks: dict.fromkeys(tasks, "99"))
    assert before != WORLD.score(expert("base"), "test").key


def test_task_versions_are_those_of_the_tasks():
    assert scoring.task_versions(["sst_jailbreak"]) == {"sst_jailbreak": "1.0"}


def test_the_trained_baseline_is_tried_only_where_asked_for():
    assert WORLD.trainings() == []
    trials = World(42, QUICK, trained=True).trainings()
    assert {trial.method for trial in trials} == {TRAINED}
    assert len(trials) == QUICK.budget
    unit = WORLD.score(trials[0].candidate, "dev")
    assert unit.parents["trained/20/0.002"].work is making.train_adapter


def test_a_recipe_on_disk_names_the_results(tmp_path):
    inputs = {"recipe": METHODS["task_arithmetic"].recipe(tiny_symbolic(), {"strength": 0.5}), "seed": 1}
    parents = {name: tmp_path / name for name in ("base", "utility", "safety", "folded safety")}
    (tmp_path / "folded safety" / "whole").mkdir(parents=True)
    out = tmp_path / "out"
    out.mkdir()
    found = scoring.candidate(inputs, parents, out)
    text = found.recipe.read_text()
    assert "unit:" not in text
    assert f"model: {tmp_path}/base+{tmp_path}/safety" in text
    assert (found.lora_cache / "whole").is_dir()


def tiny_symbolic():
    from sst_mergekit.testbeds.tiny.testbed import SYMBOLIC

    return SYMBOLIC


def model(**changes):
    found = load(recipes_path() / "experiments" / "experiments.yml").models["tiny-world"]
    sizes = dataclasses.replace(found.sizes["minimal"], **changes.pop("sizes", {}))
    return dataclasses.replace(found, sizes={"minimal": sizes}, **changes)


def test_the_trained_baseline_has_thesame_budget_or_is_refused():
    [world] = tiny.worlds(model(), "minimal", ("sst", TRAINED), 4, range(42, 43))
    assert len(world.trainings()) == 4
    with pytest.raises(SstError, match=r"minimal\.budget: lora_training has no 16 settings .*at most 8"):
        tiny.worlds(model(), "minimal", (TRAINED,), 16, range(42, 43))


def test_the_counts_are_those_of_the_configuration():
    [world] = tiny.worlds(model(), "minimal", ("sst",), 8, range(42, 43))
    size = world.size.world
    assert (size.harmful_prompts, size.choice_questions, size.programs) == (168, 160, 96)
    assert (world.size.samples, world.size.budget, world.batch_size) == (256, 8, 256)
    assert len(World(1, world.size, trained=True).trainings()) == 8


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
        tiny.worlds(model(**changes), "minimal", ("sst",), 8, range(42, 43))
