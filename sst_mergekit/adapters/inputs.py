"""What a recipe must be for its result to be an adapter: a linear method, and adapters on one base."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mergekit.common import ModelPath, ModelReference

from sst_mergekit.adapters.methods import METHODS
from sst_mergekit.adapters.reading import Adapter
from sst_mergekit.errors import RecipeError
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.statistics.adapter_fit import other_base

FULL_MERGE = "'sst-mergekit yaml RECIPE OUT'"
EXTRACT = "and 'mergekit-extract-lora' makes an adapter of the result"


def require_method(recipe: Recipe) -> None:
    """Raise RecipeError for a method that is known and whose result is not low-rank."""
    if recipe.method is not None and recipe.method.spec.name not in METHODS:
        raise RecipeError(
            f"merge_method: the result of {recipe.method.spec.name} is not low-rank (served: "
            f"{', '.join(METHODS)}); merge the full weights with {FULL_MERGE}, {EXTRACT}"
        )


def base_of(recipe: Recipe) -> ModelReference:
    """Return the one base model of all adapters of a recipe.

    Raises:
        RecipeError: the recipe is of another form, or a model is no adapter on the base.
    """
    for key in ("slices", "modules"):
        if recipe.raw.get(key):
            raise RecipeError(f"{key}: an adapter is merged on the whole base model; use models:")
    for key in ("tokenizer", "tokenizer_source", "chat_template"):
        if recipe.raw.get(key):
            raise RecipeError(f"{key}: an adapter carries no tokenizer; remove the key, or use {FULL_MERGE}")
    if not any(item.reference.lora for item in recipe.inputs):
        raise RecipeError(f"models: got no base+adapter; merge full models with {FULL_MERGE}, {EXTRACT}")
    first = next(item for item in recipe.inputs if item.reference.lora)
    base = recipe.base or ModelReference(model=first.reference.model)
    if base.lora:
        raise RecipeError(f"base_model: '{base}' has an adapter itself; name the model without it")
    for item in recipe.inputs:
        reference = item.reference
        if reference.lora and not _same(reference.model, base.model):
            raise RecipeError(
                f"{item.key}.model: its adapter is on '{reference.model}', not on '{base}'; adapters of one "
                "base alone can be merged"
            )
        if not reference.lora and not _same(reference.model, base.model):
            raise RecipeError(
                f"{item.key}.model: '{reference}' is a full model, expected '{base}+adapter'; "
                f"merge the full weights with {FULL_MERGE}, {EXTRACT}"
            )
    return base


def require_one_origin(base: ModelReference, adapters: Sequence[Adapter]) -> None:
    """Raise RecipeError for an adapter whose configuration names another Hub model than the recipe's base."""
    for adapter in adapters:
        if why := other_base(adapter.config, base.model.path):
            raise RecipeError(f"{adapter.source}: {why}")


def _same(one: ModelPath, other: ModelPath) -> bool:
    if one == other:
        return True
    paths = Path(one.path), Path(other.path)
    return all(path.is_dir() for path in paths) and paths[0].resolve() == paths[1].resolve()
