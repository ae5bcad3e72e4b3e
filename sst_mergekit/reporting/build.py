"""The whole report as plain dataclasses: what report.json holds and the other two are rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sst_mergekit.metrics.estimate import Estimate
from sst_mergekit.reporting.examples import Examples, side_by_side
from sst_mergekit.reporting.groups import Grouped, by_category, by_subject, by_wrapping
from sst_mergekit.reporting.pairs import Difference, differences
from sst_mergekit.reporting.recipes import Recipes, recipes
from sst_mergekit.reporting.results import Body, Results
from sst_mergekit.reporting.retained import Retained, retained
from sst_mergekit.reporting.rows import Row, rows
from sst_mergekit.reporting.scored import Scored

HIDDEN = "prompts and answers of this model's data are left out; add --examples to include them"


@dataclass(frozen=True)
class Part:
    """One model in one mode; an empty section's experiment was not run (its reason says so).

    Attributes:
        model, full_name, mode: of the configuration.
        seeds, budget: of the comparison; settings tried for each method.
        targets: each with what was measured and the verdict.
        rows, pairs: of experiment 3.
        models: every model's figures in experiment 1.
        definitions: of those figures.
        categories, subjects, wrappings: rates by group of prompts.
        retained: of experiment 2.
        examples, recipes: of the chosen merges.
        runs: manifests of the runs.
    """

    model: str
    full_name: str
    mode: str
    seeds: list[int]
    budget: int | None
    targets: list[Mapping[str, Any]]
    rows: list[Row]
    pairs: list[Difference]
    models: dict[str, dict[str, Estimate]]
    definitions: Mapping[str, str]
    categories: Grouped
    subjects: Grouped
    wrappings: Grouped
    retained: Retained | None
    examples: Examples
    recipes: Recipes | None
    runs: list[Body]


def build(results: Results, examples: bool | None = None) -> Part:
    """Return the report on one model and mode.

    Args:
        results: what was measured.
        examples: whether prompts and answers are included; None: those of the tiny world alone.
    """
    body, one, three = results.comparison, results.bodies.get("exp1"), results.bodies.get("exp3")
    about = (body or next(iter(results.bodies.values())))["config"]
    scored = Scored(results.store, (body or {}).get("units", {}))
    attacked = Scored(results.store, (one or {}).get("jailbreak_units", {}))
    shown = results.is_tiny_world if examples is None else examples
    return Part(
        model=results.model,
        full_name=about["full_name"],
        mode=results.mode,
        seeds=about["seeds"],
        budget=about.get("budget"),
        targets=[target for each in results.bodies.values() for target in each.get("targets", [])],
        rows=rows(three) if three else [],
        pairs=differences(three) if three else [],
        models=_models(one) if one else {},
        definitions=one["definitions"] if one else {},
        categories=_section(by_category, scored, body, "experiment 3 or 1"),
        subjects=_section(by_subject, scored, body, "experiment 3 or 1"),
        wrappings=_section(by_wrapping, attacked, one, "experiment 1"),
        retained=retained(results.bodies["exp2"]) if "exp2" in results.bodies else None,
        examples=side_by_side([scored, attacked]) if shown else Examples(None, [], [], HIDDEN),
        recipes=recipes(body, scored) if body else None,
        runs=results.manifests,
    )


def _section(section: Any, scored: Scored, body: Body | None, experiment: str) -> Grouped:
    if body is None:
        return Grouped([], [], [], f"{experiment} is not in this folder")
    return section(scored)


def _models(body: Body) -> dict[str, dict[str, Estimate]]:
    return {
        name: {key: Estimate(one["value"], one["low"], one["high"], n=one["n"]) for key, one in found.items()}
        for name, found in body["models"].items()
    }
