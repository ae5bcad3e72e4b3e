"""The models that a comparison ends with on each seed, and the units of work that scored them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sst_mergekit.experiments.demo_plan import TRAINED
from sst_mergekit.experiments.methods import EVERY
from sst_mergekit.experiments.names import long
from sst_mergekit.experiments.results import SeedResult
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.tiny.testbed import Model, World

EXPERTS = {"base": "base", "utility": "utility-expert", "safety": "safety-expert"}
_METHODS = {method.name: method for method in EVERY}


def chosen_models(world: World, result: SeedResult) -> dict[str, Model]:
    """Return the unmerged models and each method's merge at its chosen settings, by long name."""
    models: dict[str, Model] = {EXPERTS[trial.method]: trial.candidate for trial in world.unmerged()}
    for name, found in result.methods.items():
        settings = found.chosen.settings
        if name == TRAINED:
            trials = [trial for trial in world.trainings() if trial.settings == settings]
            models[long(name)] = trials[0].candidate
        else:
            models[long(name)] = world.merge(_METHODS[name], settings).candidate
    return models


def scored_units(
    worlds: Sequence[World],
    results: Sequence[SeedResult],
    score: Callable[[World, Model], Unit] = lambda world, model: world.score(model, "test"),
) -> dict[str, dict[str, str]]:
    """Return where in the store the scores and answers of each chosen model are, by seed and name.

    A place is ``score/<key>``; ``unit.json`` there has the inputs, the merge's recipe among them.
    """
    return {
        str(world.seed): {
            name: place(score(world, model)) for name, model in chosen_models(world, result).items()
        }
        for world, result in zip(worlds, results, strict=True)
    }


def place(unit: Unit) -> str:
    """Return the folder of a unit in the store."""
    return f"{unit.kind}/{unit.key}"
