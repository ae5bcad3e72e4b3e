"""Rules of the baselines: their roles, and the statistics that some of them need."""

from __future__ import annotations

from collections.abc import Iterator

from sst_mergekit.baselines import found as baselines
from sst_mergekit.baselines.shared.baseline import Baseline
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.recipe.sst_rules import experts, text
from sst_mergekit.recipe.statistics_rules import local_statistics, one_form

BASELINES = {baseline.row.name: baseline for baseline in baselines() if baseline.merge_method}


def _baseline(recipe: Recipe) -> Baseline:
    return BASELINES[str(recipe.raw.get("merge_method"))]


def roles_played(recipe: Recipe) -> Iterator[Fault]:
    """Yield a role that is missing, taken twice, or not the method's."""
    roles = _baseline(recipe).roles
    found = [text(item, "role") for item in experts(recipe)]
    if roles is None or not found or None in found:
        return  # a role that is not there is said by the general rules
    fault = roles.fault(_baseline(recipe).row.name, [role for role in found if role])
    if fault:
        yield Fault("models", fault)


def statistics_there(recipe: Recipe) -> Iterator[Fault]:
    """Yield models without the statistics that the method reads of them, and names of none."""
    for parameter, (_, role, _) in _baseline(recipe).statistics.items():
        for item in experts(recipe):
            key = f"{item.key}.parameters.{parameter}"
            if role and text(item, "role") != role:
                continue
            source = text(item, parameter)
            if source:
                yield from local_statistics(key, source)
            elif parameter not in item.parameters and parameter not in (recipe.raw.get("parameters") or {}):
                yield Fault(key, "missing; measure it with 'sst-mergekit fisher' and name its --out")


def models_form(recipe: Recipe) -> Iterator[Fault]:
    """Yield ``slices:`` and ``modules:``, which re-order the layers that statistics are found by."""
    for key in ("slices", "modules") if _baseline(recipe).statistics else ():
        if recipe.raw.get(key):
            yield Fault(key, "statistics are found by a tensor's name; use models:")


RULES = (models_form, roles_played, statistics_there, one_form)
