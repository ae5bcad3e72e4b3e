"""The recipe of the chosen merge, and the settings that every method chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sst_mergekit.reporting.results import Body
from sst_mergekit.reporting.scored import Scored

OURS = "SST-Merge"


@dataclass(frozen=True)
class Choice:
    """What one method chose on one seed, by development scores alone."""

    method: str
    seed: str
    settings: Mapping[str, float]
    reached: bool
    tried: int | None


@dataclass(frozen=True)
class Recipes:
    """How the merges were made.

    Attributes:
        method: whose recipe is shown.
        by_seed: its recipe as YAML; ``unit:/NAME`` stands for a part's folder.
        choices: of every method and seed.
        best: the best method, None where none has a gain.
        best_by: what that means.
        reason: why no recipe is shown.
    """

    method: str | None
    by_seed: dict[str, str]
    choices: list[Choice]
    best: str | None
    best_by: str | None
    reason: str | None = None


def recipes(body: Body, scored: Scored) -> Recipes:
    """Return the recipes behind a result: SST-Merge's where it took part, else the best method's."""
    best = body.get("analysis", {}).get("best_method")
    about = best, body["config"].get("best_method_by")
    choices = _choices(body)
    if scored.missing:
        return Recipes(None, {}, choices, *about, scored.missing)
    method = OURS if OURS in scored.models else best
    if method is None:
        return Recipes(None, {}, choices, *about, "no method has a gain, and SST-Merge took no part")
    found = {seed: scored.recipe(seed, method) for seed in scored.places}
    texts = {seed: _yaml(recipe) for seed, recipe in found.items() if recipe is not None}
    return Recipes(method, texts, choices, *about, None if texts else f"{method} is trained, not merged")


def _choices(body: Body) -> list[Choice]:
    if "results" not in body:  # experiment 1 has SST-Merge alone
        return [
            Choice(OURS, str(seed["seed"]), seed["settings"], seed.get("reached_target", True), None)
            for seed in body["seeds"]
        ]
    return [
        Choice(row["method"], str(row["seed"]), row["settings"], row["reached_target"], row["settings_tried"])
        for row in body["results"]
        if "settings" in row
    ]


def _yaml(recipe: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(recipe), sort_keys=False)
