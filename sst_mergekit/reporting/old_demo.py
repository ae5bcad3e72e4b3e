"""Reading the report.json of demos that were made before they wrote results.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sst_mergekit.experiments.demo import world_of


def as_results(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a tally needs of a report, in the form of results.json."""
    rows = [
        {
            "method": name,
            "seed": seed["seed"],
            "settings": found["chosen"]["settings"],
            "safety_tax": found["tax"]["value"],
            "hypervolume": found["hypervolume"],
            "utility_at_target": found["utility_at_target"],
        }
        for seed in report["seeds"]
        for name, found in seed["methods"].items()
    ]
    return {"results": rows, "config": {"experiment": "demo", "mode": world_of(report["command"])}}
