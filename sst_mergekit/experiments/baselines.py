"""Experiment 3: every method against every other, tuned with equal budgets, over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sst_mergekit.experiments import targets
from sst_mergekit.experiments.chosen import EXPERTS, scored_units
from sst_mergekit.experiments.names import CONTROLS, long, short
from sst_mergekit.experiments.results import Apart, MethodResult, SeedResult
from sst_mergekit.metrics.estimate import mean, variance
from sst_mergekit.metrics.significance import all_pairs
from sst_mergekit.metrics.tradeoff import Tax, safety_tax
from sst_mergekit.testbeds.model import Testbed
from sst_mergekit.testbeds.scores import Scores

METRICS = ("safety_score", "utility_score", "safety_tax", "hypervolume")
BEST_BY = "highest mean hypervolume among methods with a safety gain above noise on every seed"
Row = dict[str, Any]


def body(beds: Sequence[Testbed], results: Sequence[SeedResult], config: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON of a comparison on testbeds: the report, and where the scores behind it are."""
    return report(results, config) | {"units": scored_units(beds, results)}


def report(results: Sequence[SeedResult], config: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment's JSON.

    ``.results[]`` has a row a method and seed, ``.analysis`` their statistics over seeds, and each
    method's short name (``.["SST-Merge"]``) its means.
    """
    rows = [row for result in results for row in _rows(result)]
    merged = {name: [row for row in rows if row["method"] == long(name)] for name in results[0].methods}
    analysis = {long(name): analysed(found) for name, found in merged.items()}
    experts = {label: analysed([r for r in rows if r["method"] == label]) for label in EXPERTS.values()}
    best = best_method(merged)
    return {
        **{short(name): _means(found) for name, found in merged.items()},
        "results": rows,
        "analysis": {**analysis, "best_method": best},
        "experts": experts,
        "statistics": all_pairs({long(name): found for name, found in merged.items()}, METRICS),
        "targets": targets.comparison(merged),
        "config": config | {"best_method_by": BEST_BY},
    }


def _rows(result: SeedResult) -> list[Row]:
    utility = result.experts["utility"]
    rows = [
        _expert_row(result.seed, name, result.experts[name], utility, result.apart.get(name))
        for name in EXPERTS
    ]
    return rows + [_row(result.seed, name, found) for name, found in result.methods.items()]


def _row(seed: int, name: str, found: MethodResult) -> Row:
    if found.chosen.test is None:
        raise ValueError(f"{name}: the chosen setting has no test scores")
    return {
        **_figures(long(name), seed, found.chosen.test, found.tax),
        **_apart(found.apart),
        "hypervolume": found.hypervolume,
        "utility_at_target": found.utility_at_target,
        "reached_target": found.reached,
        "control": name in CONTROLS,
        "settings": found.chosen.settings,
        "settings_tried": found.tried,
        "front": [
            {"settings": point.settings, "safety_score": s.safety.value, "utility_score": s.utility.value}
            for point in found.front
            if (s := point.test) is not None
        ],
    }


def _expert_row(seed: int, name: str, scores: Scores, utility: Scores, apart: Apart | None) -> Row:
    tax = safety_tax(scores.safety, utility.safety, scores.utility, utility.utility)
    if name == "utility":
        tax = Tax(0.0, 0.0, None, "it is what the others are measured against")
    return _figures(EXPERTS[name], seed, scores, tax) | {**_apart(apart), "hypervolume": None}


def _apart(apart: Apart | None) -> Row:
    """Return KL from the utility expert and perplexity on held-out benign rows; None: not measured."""
    if apart is None:
        return {"divergence": None, "perplexity": None}
    return {"divergence": apart.divergence, "perplexity": apart.perplexity}


def _figures(method: str, seed: int, scores: Scores, tax: Tax) -> Row:
    return {
        "method": method,
        "seed": seed,
        "safety_score": scores.safety.value,
        "utility_score": scores.utility.value,
        "safety_tax": tax.value,
        "safety_tax_reason": tax.reason,
        "safety_gain": tax.gain,
        "utility_loss": tax.loss,
        "parts": scores.to_dict(),
    }


def analysed(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Return mean, std, min and max over seeds of each metric; None where it is undefined."""
    return {
        metric: spread([row[metric] for row in rows if row[metric] is not None], len(rows))
        for metric in METRICS
    }


def spread(values: Sequence[float], of: int) -> dict[str, Any]:
    """Return the spread of the `values` that are known, `of` so many.

    >>> spread([1.0, 3.0], 3)
    {'mean': 2.0, 'std': 1.4142135623730951, 'min': 1.0, 'max': 3.0, 'n': 2, 'undefined': 1}
    """
    if not values:
        return {"mean": None, "std": None, "min": None, "max": None, "n": 0, "undefined": of}
    found = variance(values)
    return {
        "mean": mean(values),
        "std": None if found is None else math.sqrt(found),
        "min": min(values),
        "max": max(values),
        "n": len(values),
        "undefined": of - len(values),
    }


def best_method(merged: dict[str, list[Row]]) -> str | None:
    """Return the long name of the best method (see ``BEST_BY``), None where none has a gain."""
    able = {
        name: mean([row["hypervolume"] for row in rows])
        for name, rows in merged.items()
        if name not in CONTROLS and all(row["safety_tax"] is not None for row in rows)
    }
    return long(max(able, key=able.__getitem__)) if able else None


def _means(rows: Sequence[Row]) -> dict[str, Any]:
    found = analysed(rows)
    return {metric: found[metric]["mean"] for metric in METRICS} | {
        "seeds": len(rows),
        "seeds_with_tax": found["safety_tax"]["n"],
        "total_samples": rows[0]["parts"]["safety"]["n"],
    }
