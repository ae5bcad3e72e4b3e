"""What a run would do: its units of work, how many of them are there already, and the disk they need."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Part:
    """One experiment: units by kind, those that other experiments share with it too, and what follows them.

    Attributes:
        experiment: its name.
        units: kind -> how many are known before any score.
        then: what depends on their scores, in words.
    """

    experiment: str
    units: dict[str, int]
    then: str


@dataclass(frozen=True)
class Piece:
    """A unit of work.

    Attributes:
        kind, name: of the unit.
        key: in the store.
        bytes: of its result, about.
        made: whether it is there already.

    The last three are None for a Hub model: they hang on its weights and data, which a plan does not read.
    """

    kind: str
    name: str
    key: str | None
    bytes: int | None
    made: bool | None


@dataclass(frozen=True)
class Kind:
    """All units of a kind, each once; ``made`` and ``bytes`` are None as those of its units."""

    units: int
    made: int | None
    bytes: int | None


@dataclass(frozen=True)
class Plan:
    """What a run of one model would do.

    Attributes:
        model, full_name, mode, seeds: of the run.
        experiments: what each takes.
        kinds: of units, over all experiments.
        units: those that are known before any score.
        disk: what for -> bytes, about; None where unknown.
        needs: what the run asks for: data, options of loading, confirmation, processes.
    """

    model: str
    full_name: str
    mode: str
    seeds: list[int]
    experiments: list[Part]
    kinds: dict[str, Kind]
    units: list[Piece]
    disk: dict[str, int | None]
    needs: dict[str, Any]


def plan(request: Request) -> list[Plan]:
    """Return the plan of each model; nothing is run, nothing of the Hub is read, and nothing is written.

    Raises:
        SstError: a model or size that cannot be run.
    """
    request = dataclasses.replace(request, reads=False)
    return [_of_model(request, model) for model in request.models]


def _of_model(request: Request, model: ModelOptions) -> Plan:
    parts, found = [], {}
    for experiment in request.experiments:
        wanted, then = UNITS[experiment](request, model)
        units = {unit.key: unit for layer in with_parents(wanted) for unit in layer}
        parts.append(Part(experiment, dict(Counter(unit.kind for unit in units.values())), then))
        found |= units
    piece = _piece if model.is_tiny_world else _unread
    pieces = [piece(unit, Store(request.store)) for unit in found.values()]
    return Plan(
        model=model.name,
        full_name=model.full_name,
        mode=request.mode,
        seeds=list(request.seeds),
        experiments=parts,
        kinds={kind: _kind(pieces, kind) for kind in dict.fromkeys(piece.kind for piece in pieces)},
        units=pieces,
        disk=_disk(pieces, request.workers) if model.is_tiny_world else hub_bytes(model),
        needs=tiny_needs(request, model) if model.is_tiny_world else hub_needs(request, model),
    )


def _piece(unit: Unit, store: Store) -> Piece:
    return Piece(unit.kind, unit.name, unit.key, unit_bytes(unit), store.has(unit))


def _unread(unit: Unit, _store: Store) -> Piece:
    return Piece(unit.kind, unit.name, None, None, None)


def _kind(pieces: Sequence[Piece], kind: str) -> Kind:
    of = [piece for piece in pieces if piece.kind == kind]
    if any(piece.made is None for piece in of):
        return Kind(len(of), None, None)
    return Kind(len(of), sum(bool(piece.made) for piece in of), sum(piece.bytes or 0 for piece in of))


def _disk(pieces: Sequence[Piece], workers: int) -> dict[str, int | None]:
    """Return the bytes of what is to be made; a merge, until it is scored, is a model."""
    new = [piece for piece in pieces if not piece.made]
    largest = max((piece.bytes or 0 for piece in new if piece.kind == "train"), default=0)
    total = sum(piece.bytes or 0 for piece in new)
    return {"units": total, "merges while they are scored": largest * workers}


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
