"""The models that a comparison ends with on each seed, and the units of work that scored them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sst_mergekit.experiments.names import long
from sst_mergekit.experiments.results import SeedResult
from sst_mergekit.experiments.trials import trial, unmerged
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.model import Model, Testbed

EXPERTS = {"base": "base", "utility": "utility-expert", "safety": "safety-expert"}


def chosen_models(bed: Testbed, result: SeedResult) -> dict[str, Model]:
    """Return the unmerged models and each method's model at its chosen settings, by long name."""
    models = {EXPERTS[each.method]: each.model for each in unmerged(bed)}
    for name, found in result.methods.items():
        models[long(name)] = trial(bed, name, found.chosen.settings).model
    return models


def scored_units(
    beds: Sequence[Testbed],
    results: Sequence[SeedResult],
    score: Callable[[Any, Model], Unit] = lambda bed, model: bed.score(model, "test"),
) -> dict[str, dict[str, str]]:
    """Return where in the store the scores and answers of each chosen model are, by seed and name.

    A place is ``score/<key>``; ``unit.json`` there has the inputs, the merge's recipe among them.
    """
    return {
        str(bed.seed): {name: place(score(bed, model)) for name, model in chosen_models(bed, result).items()}
        for bed, result in zip(beds, results, strict=True)
    }


def place(unit: Unit) -> str:
    """Return the folder of a unit in the store."""
    return f"{unit.kind}/{unit.key}"
