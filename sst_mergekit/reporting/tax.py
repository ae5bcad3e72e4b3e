"""The table of the safety tax: what every method won and lost, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sst_mergekit.metrics.estimate import UNIT, Estimate, known_over_seeds, over_seeds
from sst_mergekit.reporting.results import Body

LABELS = {"mmlu": "MMLU", "humaneval": "HumanEval", "compliance": "over-refusal"}


@dataclass(frozen=True)
class TaxRow:
    """One method at its chosen settings, or an unmerged model; means over seeds.

    Attributes:
        name: of the method.
        kind: ``expert``, ``method`` or ``control``.
        safety, utility: rates.
        parts: of utility, by name; compliance is shown as over-refusal.
        gain, loss: safety won and utility lost against the utility expert.
        tax: loss / gain of a seed, over the seeds that have one.
        hypervolume: of the front.
        divergence, perplexity: KL from the utility expert and perplexity on held-out benign rows.
        missed: seeds on which no setting reached what was asked for on development.
        seeds: how many.
    """

    name: str
    kind: str
    safety: Estimate
    parts: dict[str, Estimate]
    utility: Estimate
    gain: Estimate
    loss: Estimate
    tax: Estimate
    hypervolume: Estimate
    divergence: Estimate
    perplexity: Estimate
    missed: int
    seeds: int


def tax_table(body: Body) -> list[TaxRow]:
    """Return the rows of a comparison (experiment 3): unmerged models first."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for row in body["results"]:
        rows.setdefault(row["method"], []).append(row)
    return [_row(name, found) for name, found in rows.items()]


def _row(name: str, rows: Sequence[Mapping[str, Any]]) -> TaxRow:
    merged = "settings" in rows[0]
    names = [str(name) for name in rows[0]["parts"] if name != "safety"]
    areas = [row["hypervolume"] for row in rows]
    return TaxRow(
        name=name,
        kind="expert" if not merged else "control" if rows[0]["control"] else "method",
        safety=_part(rows, "safety"),
        utility=over_seeds([row["utility_score"] for row in rows], within=UNIT),
        parts={LABELS.get(name, name): _part(rows, name) for name in names},
        gain=over_seeds([row["safety_gain"] for row in rows]),
        loss=over_seeds([row["utility_loss"] for row in rows]),
        tax=known_over_seeds([row["safety_tax"] for row in rows], [row["safety_tax_reason"] for row in rows]),
        hypervolume=known_over_seeds(areas, ["an unmerged model has no front"]),
        divergence=_measured(rows, "divergence"),
        perplexity=_measured(rows, "perplexity"),
        missed=sum(not row.get("reached_target", True) for row in rows),
        seeds=len(rows),
    )


def _part(rows: Sequence[Mapping[str, Any]], part: str) -> Estimate:
    """Return one rate over seeds; compliance is turned into over-refusal."""
    rates = [row["parts"][part] for row in rows]
    values = [1 - rate["value"] if part == "compliance" else rate["value"] for rate in rates]
    return over_seeds(values, rates[0]["stderr"], UNIT)


def _measured(rows: Sequence[Mapping[str, Any]], key: str) -> Estimate:
    return known_over_seeds([row.get(key) for row in rows], ["it was not measured"])
