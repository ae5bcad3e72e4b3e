"""All faults of a recipe, found before the merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from mergekit.config import MergeConfiguration

from sst_mergekit.errors import RecipeError
from sst_mergekit.recipe import (
    adapter_rules,
    baseline_rules,
    coverage_rules,
    layout_rules,
    model_rules,
    origin_rules,
    parameter_rules,
    rules,
    sst_rules,
    statistics_rules,
    vision_rules,
    vocabulary_rules,
)
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.parse import Recipe, load_recipe

Rule = Callable[[Recipe], Iterable[Fault]]

GENERAL: tuple[Rule, ...] = (*rules.RULES, *parameter_rules.RULES, *model_rules.RULES, *adapter_rules.RULES)
OF_SST: tuple[Rule, ...] = (
    *sst_rules.RULES,
    *vocabulary_rules.RULES,
    *statistics_rules.RULES,
    *origin_rules.RULES,
    *coverage_rules.RULES,
    *layout_rules.RULES,
    *vision_rules.RULES,
)
# What does not concern adapters merged into an adapter: no base weights are read, nothing is folded.
OF_FULL_MERGE: tuple[Rule, ...] = (
    model_rules.models_there,
    model_rules.cache_for_adapters,
    model_rules.usable_cache,
    model_rules.names_sent_to_the_hub,
    model_rules.precise_dtype,
    *layout_rules.RULES,
    *vision_rules.RULES,
)
OF_METHOD = dict.fromkeys(baseline_rules.BASELINES, baseline_rules.RULES) | {sst_rules.METHOD: OF_SST}


def check_recipe(
    path: Path | str, lora_merge_cache: Path | None = None, lora_merge_dtype: str | None = None
) -> list[Fault]:
    """Return every fault and warning of a recipe, in the order of the rules; no weights are loaded.

    Args:
        path: the recipe.
        lora_merge_cache, lora_merge_dtype: as they will be given to mergekit.
    """
    try:
        recipe = load_recipe(path, lora_merge_cache, lora_merge_dtype)
    except RecipeError as error:
        where, _, what = str(error).partition(": ")
        return [Fault(where, what)]
    return check(recipe)


def check(recipe: Recipe, to_adapter: bool = False) -> list[Fault]:
    """Return every fault and warning of a recipe read already, of the rules that concern its merge."""
    of_method = OF_METHOD.get(str(recipe.raw.get("merge_method")), ())
    left_out = OF_FULL_MERGE if to_adapter else ()
    rules = [rule for rule in (*GENERAL, *of_method) if rule not in left_out]
    found = dict.fromkeys(fault for rule in rules for fault in rule(recipe))
    if all(fault.warning for fault in found):
        found |= dict.fromkeys(_refused_by_mergekit(recipe))
    return list(found)


def _refused_by_mergekit(recipe: Recipe) -> Iterable[Fault]:
    """Yield what mergekit's own validators refuse and no rule has named."""
    try:
        MergeConfiguration.model_validate(recipe.raw)
    except (RuntimeError, ValueError) as error:
        yield Fault(str(recipe.path), " ".join(str(error).split()))
