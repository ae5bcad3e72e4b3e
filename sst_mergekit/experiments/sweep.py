"""A sweep: the settings of recipes or methods, searched for the front of safety and utility."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sst_mergekit.errors import SstError, closest
from sst_mergekit.experiments.results import Point
from sst_mergekit.experiments.search import Search, searched
from sst_mergekit.experiments.strategies.space import Parameter
from sst_mergekit.experiments.strategies.strategy import Settings, Strategy
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.metrics.estimate import Rate, mean_rate
from sst_mergekit.testbeds.scores import Scores
from sst_mergekit.testbeds.scoring import Table, read_table

Space = Sequence[Parameter]


@dataclass(frozen=True, eq=False)
class Subject:
    """A recipe or method: its name for people, what is searched, and the unit that scores settings."""

    name: str
    space: Space
    unit: Callable[[Settings], Unit]


@dataclass(frozen=True)
class Objectives:
    """Which metrics safety and utility are the means of, as ``TASK:METRIC``; higher is better."""

    safety: tuple[str, ...]
    utility: tuple[str, ...]

    def scores(self, table: Table) -> Scores:
        """Return safety and utility from a table of scores.

        Raises:
            SstError: it has no such metric.
        """
        safety, utility = _named("--safety", table, self.safety), _named("--utility", table, self.utility)
        return Scores(mean_rate(list(safety.values())), utility)


def _named(flag: str, table: Table, metrics: Sequence[str]) -> dict[str, Rate]:
    known = {f"{task}:{name}": score for task, row in table.items() for name, score in row.items()}
    for metric in metrics:
        if metric not in known:
            raise SstError(f"{flag} {metric}: not scored{closest(metric, known)}")
    return {metric: known[metric] for metric in metrics}


def sweep(
    subjects: Sequence[Subject],
    objectives: Objectives,
    strategy: Callable[[Space], Strategy[Scores]],
    earlier: Mapping[str, Sequence[Settings]],
    runner: Runner,
) -> dict[str, list[Point]]:
    """Return all settings of each subject with their scores, by the subject's name.

    Args:
        subjects: what is searched.
        objectives: what their scores are.
        strategy: what is tried of a space.
        earlier: settings that an earlier start tried; they count where their units are in the store, and so
            are of these models, data and tasks.
        runner: makes the units.
    """

    def scores(path: Path) -> Scores:
        return objectives.scores(read_table(path))

    def seen(subject: Subject) -> list[tuple[Settings, Scores]]:
        known = [(settings, _unit(subject, settings)) for settings in earlier.get(subject.name, ())]
        return [
            (settings, scores(runner.store.path(unit)))
            for settings, unit in known
            if unit is not None and runner.store.has(unit)
        ]

    searches = [Search(strategy(one.space), one.unit, scores, seen(one)) for one in subjects]
    found = searched("sweep", searches, runner)
    return {
        subject.name: [Point(*pair) for pair in tried] for subject, tried in zip(subjects, found, strict=True)
    }


def _unit(subject: Subject, settings: Settings) -> Unit | None:
    """Return the unit of settings; None where the subject, changed since, has no place for them."""
    try:
        return subject.unit(settings)
    except SstError:
        return None


def earlier(path: Path) -> dict[str, list[Settings]]:
    """Return the settings in the ``sweep.json`` of an earlier start, by subject; empty where there is none.

    Raises:
        SstError: the file is of something else.
    """
    if not path.is_file():
        return {}
    try:
        subjects = json.loads(path.read_text(encoding="utf-8"))["subjects"]
        return {name: [point["settings"] for point in one["points"]] for name, one in subjects.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise SstError(f"{path}: not of a sweep; choose another --out, or delete the file") from None


def shared_out(parameters: Space, takes: Sequence[tuple[str, frozenset[str]]]) -> list[tuple[Parameter, ...]]:
    """Return each subject's parameters among all.

    Args:
        parameters: of the command.
        takes: (name, names of the parameters that it has) of each subject.

    Raises:
        SstError: a parameter that no subject has.
    """
    for parameter in parameters:
        if not any(parameter.name in names for _, names in takes):
            who = ", ".join(name for name, _ in takes)
            hint = closest(parameter.name, frozenset().union(*(names for _, names in takes)))
            raise SstError(f"--param {parameter.name}: no parameter of {who}{hint}")
    return [tuple(p for p in parameters if p.name in names) for _, names in takes]
