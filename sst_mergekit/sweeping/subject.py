"""What a sweep is about: a recipe with parameters to choose, and the units of work that score them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sst_mergekit.errors import SstError, closest
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.metrics.estimate import Rate, mean_rate
from sst_mergekit.sweeping.space import Parameter, Settings
from sst_mergekit.testbeds.scoring import Table

DIGITS = 12


@dataclass(frozen=True, eq=False)
class Subject:
    """A recipe or method.

    Attributes:
        name: for people.
        space: its parameters, and their values.
        unit: settings -> the unit of work that merges and scores them.
        about: what else the scores depend on, as plain JSON.
    """

    name: str
    space: tuple[Parameter, ...]
    unit: Callable[[Settings], Unit]
    about: Any

    def key(self, objectives: Objectives) -> str:
        """Return what the ledger knows it by: scores of other data, tasks or models are not mixed with it."""
        text = json.dumps([self.name, self.about, objectives.safety, objectives.utility], sort_keys=True)
        return f"{self.name} {hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"


@dataclass(frozen=True)
class Objectives:
    """Which metrics safety and utility are the means of, as ``TASK:METRIC``; higher is better."""

    safety: tuple[str, ...]
    utility: tuple[str, ...]

    def rates(self, table: Table) -> tuple[Rate, Rate]:
        """Return (safety, utility) of a table of scores.

        Raises:
            SstError: it has no such metric.
        """
        return _mean("--safety", table, self.safety), _mean("--utility", table, self.utility)


def _mean(flag: str, table: Table, metrics: Sequence[str]) -> Rate:
    known = {f"{task}:{name}": score for task, row in table.items() for name, score in row.items()}
    for metric in metrics:
        if metric not in known:
            raise SstError(f"{flag} {metric}: not scored{closest(metric, known)}")
    return mean_rate([known[m] for m in metrics])


def shared_out(
    parameters: Sequence[Parameter], takes: Sequence[tuple[str, frozenset[str]]]
) -> list[tuple[Parameter, ...]]:
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
