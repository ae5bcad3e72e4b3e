"""What a run would do: its units of work, how many of them are there already, and the disk they need."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sst_mergekit.experiments import comparing
from sst_mergekit.experiments.disk import hub_bytes, hub_needs, tiny_needs, unit_bytes
from sst_mergekit.experiments.interference import METHODS, SETTINGS, searches
from sst_mergekit.experiments.request import Request
from sst_mergekit.experiments.safety_tax import attack_unit
from sst_mergekit.experiments.strategies.bracket import bracket
from sst_mergekit.experiments.trials import Tuning, unmerged
from sst_mergekit.jobs.store import Store
from sst_mergekit.jobs.unit import Unit, with_parents
from sst_mergekit.testbeds.model import Testbed, expert
from sst_mergekit.testbeds.options import ModelOptions
from sst_mergekit.testbeds.tiny.facts import task_name

Plan = dict[str, Any]


def plan(request: Request) -> list[Plan]:
    """Return the plan of each model; nothing is run, nothing of the Hub is read, and nothing is written.

    A plan has ``model``, ``full_name``, ``mode`` and ``seeds``; ``experiments`` (the units of each by kind,
    those that others share too, and what follows their scores, in words); ``units``, each once, and their
    ``kinds``; ``disk``, bytes by what for; and ``needs``. Bytes are estimates, None where unknown. Key, bytes
    and whether a unit is made are None for a Hub model: they hang on weights and data, which a plan does not
    read.

    Raises:
        SstError: a model or size that cannot be run.
    """
    request = dataclasses.replace(request, reads=False)
    return [_of_model(request, model) for model in request.models]


def _of_model(request: Request, model: ModelOptions) -> Plan:
    parts, found, store = [], {}, Store(request.store)
    for experiment in request.experiments:
        wanted, then = UNITS[experiment](request, model)
        units = {unit.key: unit for layer in with_parents(wanted) for unit in layer}
        counts = dict(Counter(unit.kind for unit in units.values()))
        parts.append({"experiment": experiment, "units": counts, "then": then})
        found |= units
    tiny = model.is_tiny_world
    pieces: list[Plan] = [
        {"kind": unit.kind, "name": unit.name}
        | {"key": unit.key if tiny else None, "bytes": unit_bytes(unit) if tiny else None}
        | {"made": store.has(unit) if tiny else None}
        for unit in found.values()
    ]
    return {
        **{"model": model.name, "full_name": model.full_name, "mode": request.mode},
        "seeds": list(request.seeds),
        "experiments": parts,
        "kinds": {kind: _kind(pieces, kind) for kind in dict.fromkeys(piece["kind"] for piece in pieces)},
        "units": pieces,
        "disk": _disk(pieces, request.workers) if tiny else hub_bytes(model),
        "needs": tiny_needs(request, model) if tiny else hub_needs(request, model),
    }


def _kind(pieces: Sequence[Plan], kind: str) -> dict[str, int | None]:
    of = [piece for piece in pieces if piece["kind"] == kind]
    known = all(piece["made"] is not None for piece in of)
    sums = {key: sum(piece[key] for piece in of) if known else None for key in ("made", "bytes")}
    return {"units": len(of), **sums}


def _disk(pieces: Sequence[Plan], workers: int) -> dict[str, int]:
    """Return the bytes of what is to be made; a merge, until it is scored, is a model."""
    new = [piece for piece in pieces if not piece["made"]]
    largest = max((piece["bytes"] for piece in new if piece["kind"] == "train"), default=0)
    return {
        "units": sum(piece["bytes"] for piece in new),
        "merges while they are scored": largest * workers,
    }


def tuned(beds: Sequence[Testbed], tuning: Tuning) -> list[Unit]:
    """Return the units of a comparison that do not depend on scores."""
    units = [unit for search in comparing.searches(beds, tuning).values() for unit in search.first]
    return units + [bed.score(one.model, "test") for bed in beds for one in unmerged(bed)]


def _later(tuning: Tuning, seeds: int) -> str:
    again = sum(tuning.budget - len(bracket(each, tuning.budget)([])) for each in tuning.merges) * seeds
    return f"{again} scores where safety is won, and each method's front on the test split"


def _baselines(request: Request, model: ModelOptions) -> tuple[list[Unit], str]:
    beds, tuning = request.beds(model), request.tuning(model, "exp3")
    return tuned(beds, tuning), _later(tuning, len(beds))


def _safety_tax(request: Request, model: ModelOptions) -> tuple[list[Unit], str]:
    beds, tuning = request.beds(model), request.tuning(model, "exp1")
    samples = request.config.attack_samples[request.mode]
    attacks = [attack_unit(bed, one.model, samples) for bed in beds for one in unmerged(bed)]
    return tuned(beds, tuning) + attacks, f"{_later(tuning, len(beds))}, {len(beds)} merges under jailbreaks"


def _interference(request: Request, model: ModelOptions) -> tuple[list[Unit], str]:
    units, counts = [], request.counts
    for tasks in request.tasks(model):
        units.append(tasks.score(expert("base"), "test", str(max(counts))))
        names = [task_name(number) for number in range(max(counts))]
        units += [tasks.score(expert("base", name), "test", name) for name in names]
        units += [unit for one in searches([tasks], counts).values() for unit in one.first]
    return units, _chosen(request)


def _chosen(request: Request) -> str:
    chosen = len(request.counts) * len(METHODS) * len(request.seeds)
    merges = f"the best of each {SETTINGS} merges of {request.counts} experts"
    return f"{merges} on the test split: {chosen} scores"


UNITS = {"exp1": _safety_tax, "exp2": _interference, "exp3": _baselines}
