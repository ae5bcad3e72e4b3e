"""The models that a comparison ends with: experts, merges at their settings, LoRA training."""

import dataclasses

from made_results import seed_result
from tiny_world import WORLD

from sst_mergekit.experiments.chosen import chosen_models, scored_units
from sst_mergekit.experiments.demo import QUICK
from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.results import MethodResult
from sst_mergekit.experiments.strategies.bracket import bracket
from sst_mergekit.experiments.trials import TRAINED, trainings, trial

SETTINGS = {method.name: bracket(method, 8)([])[0] for method in EVERY}


def at(found: MethodResult, settings):
    return dataclasses.replace(found, chosen=dataclasses.replace(found.chosen, settings=settings))


def result():
    """A result whose methods chose settings that their grids have; LoRA training, too."""
    made = seed_result(42)
    trained = trial(WORLD, TRAINED, trainings(QUICK.tuning)[TRAINED][3])
    methods = {name: at(found, SETTINGS[name]) for name, found in made.methods.items()}
    methods[TRAINED] = at(made.methods["sst"], dict(trained.settings))
    return dataclasses.replace(made, methods=methods), trained


def test_the_chosen_models_are_experts_merges_and_the_trained_baseline():
    made, trained = result()
    models = chosen_models(WORLD, made)
    assert list(models)[:3] == ["base", "utility-expert", "safety-expert"]
    assert set(models) >= {"Task-Arithmetic", "SST-Merge", "AlignGuard-LoRA", TRAINED}
    assert models[TRAINED] == trained.model
    strength = SETTINGS["task_arithmetic"]["strength"]
    assert models["Task-Arithmetic"].inputs["recipe"]["models"][1]["parameters"]["weight"] == strength


def test_their_places_are_those_of_the_test_split():
    made, _ = result()
    places = scored_units([WORLD], [made])["42"]
    for name, model in chosen_models(WORLD, made).items():
        assert places[name] == f"score/{WORLD.score(model, 'test').key}"
    assert len(set(places.values())) == len(places)
