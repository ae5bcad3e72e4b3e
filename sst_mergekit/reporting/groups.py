"""Rates by group of prompts: refusals by category, questions by subject, attacks by wrapping."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sst_mergekit.evaluation.beavertails import CATEGORIES, metric_of
from sst_mergekit.evaluation.wrappings import WRAPPINGS
from sst_mergekit.metrics.estimate import Estimate, wilson
from sst_mergekit.reporting.scored import Scored

Counts = dict[str, tuple[int, int]]  # (so many, of so many) by group


@dataclass(frozen=True)
class Grouped:
    """A table of rates, pooled over seeds.

    Attributes:
        models: its columns.
        groups: its rows.
        cells: a row a group, a figure a model, with its number of prompts.
        reason: why there is no table.
    """

    models: list[str]
    groups: list[str]
    cells: list[list[Estimate]]
    reason: str | None = None


def by_category(scored: Scored) -> Grouped:
    """Return the refusals of harmful prompts by BeaverTails' 14 categories."""
    metrics = {category: metric_of(category) for category in CATEGORIES}
    return _grouped(scored, _from_tables(scored, "sst_beavertails_refusal", metrics), list(CATEGORIES))


def by_wrapping(scored: Scored) -> Grouped:
    """Return the refusals of harmful prompts by the wrapping that they are asked in."""
    metrics = {name: f"resistance_{name}" for name in WRAPPINGS}
    return _grouped(scored, _from_tables(scored, "sst_jailbreak", metrics), list(WRAPPINGS))


def by_subject(scored: Scored) -> Grouped:
    """Return the questions answered rightly by MMLU's subjects, as far as they were asked."""

    def counts(model: str) -> Counts:
        return _sum(
            (subject, count["right"], count["n"])
            for seed in scored.subjects(model)
            for subject, count in seed.items()
        )

    return _grouped(scored, counts, [])


def _from_tables(scored: Scored, task: str, metrics: dict[str, str]) -> Callable[[str], Counts]:
    def counts(model: str) -> Counts:
        found: list[tuple[str, Any]] = [
            (group, table[task][metric])
            for table in scored.tables(model)
            for group, metric in metrics.items()
            if metric in table.get(task, {})
        ]
        return _sum((group, round(score["value"] * score["n"]), score["n"]) for group, score in found)

    return counts


def _sum(counts: Iterable[tuple[str, int, int]]) -> Counts:
    total: Counts = {}
    for group, right, n in counts:
        before = total.get(group, (0, 0))
        total[group] = before[0] + right, before[1] + n
    return total


def _grouped(scored: Scored, counts: Callable[[str], Counts], groups: list[str]) -> Grouped:
    if scored.missing:
        return Grouped([], [], [], scored.missing)
    found = {model: counts(model) for model in scored.models}
    names = groups or sorted({group for each in found.values() for group in each})
    if not any(found.values()):
        return Grouped([], [], [], "no prompt was asked")
    cells = [
        [wilson(*found[model].get(name, (0, 0)), "no prompt of this group") for model in found]
        for name in names
    ]
    return Grouped(list(found), names, cells)
