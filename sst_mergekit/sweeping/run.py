"""Asks the sampler, makes the units of work, writes the scores: until the budget is spent."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from sst_mergekit.jobs.runner import Runner
from sst_mergekit.sweeping.ledger import Ledger, Row
from sst_mergekit.sweeping.sampling import propose
from sst_mergekit.sweeping.space import Settings, spelled
from sst_mergekit.sweeping.subject import Objectives, Subject
from sst_mergekit.testbeds.scoring import read_table


@dataclass(frozen=True)
class Search:
    """How settings are chosen.

    Attributes:
        sampler: ``grid``, ``random``, ``tpe`` or ``nsga2``.
        budget: settings a subject, of all processes together and of earlier starts (None: the whole grid).
        seed: of the sampler.
        together: settings that this process asks for at a time: one a worker.
    """

    sampler: str
    budget: int | None
    seed: int
    together: int


def sweep(
    subjects: Sequence[Subject], objectives: Objectives, search: Search, ledger: Ledger, runner: Runner
) -> dict[str, list[Row]]:
    """Return all settings of each subject with their scores, by the subject's name.

    Settings are taken from the ledger and given to nobody else; those that a killed process had taken are
    made at the end, and those of a living one waited for.
    """
    found = {}
    for subject in subjects:
        key = subject.key(objectives)
        next_one = functools.partial(propose, search.sampler, subject.space, seed=search.seed)
        while rows := ledger.ask(key, search.together, search.budget, next_one, _key(subject)):
            _score(subject, key, rows, objectives, ledger, runner)
        left = [row for row in ledger.rows(key) if row.safety is None]
        _score(subject, key, left, objectives, ledger, runner)
        found[subject.name] = ledger.rows(key)
    return found


def _key(subject: Subject):  # noqa: ANN202
    def key(settings: Settings) -> str:
        return subject.unit(settings).key

    return key


def _score(
    subject: Subject, key: str, rows: Sequence[Row], objectives: Objectives, ledger: Ledger, runner: Runner
) -> None:
    """Make the units of some settings and write their scores."""
    label = f"{subject.name}: {spelled(rows[0].settings)}" if rows else subject.name
    units = [subject.unit(row.settings) for row in rows]
    for row, path in zip(rows, runner.make(label, units), strict=True):
        ledger.tell(key, row.key, *objectives.rates(read_table(path)))
