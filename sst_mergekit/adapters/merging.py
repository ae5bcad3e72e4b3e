"""From a recipe of adapters to a merged adapter, layer by layer."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from mergekit.common import ModelReference, dtype_from_name
from torch import Tensor
from tqdm import tqdm

from sst_mergekit.adapters.card import card
from sst_mergekit.adapters.inputs import base_of, require_method, require_one_origin
from sst_mergekit.adapters.methods import METHODS, linear_weights
from sst_mergekit.adapters.pair import Pair
from sst_mergekit.adapters.plan import Plan, plan
from sst_mergekit.adapters.reading import Adapter, read_adapter
from sst_mergekit.adapters.report import MergedLayer, Report
from sst_mergekit.adapters.total import total
from sst_mergekit.adapters.writing import factors_of, write_configuration, write_weights
from sst_mergekit.errors import RecipeError
from sst_mergekit.files import new_directory, refuse_existing
from sst_mergekit.plugin import coverage
from sst_mergekit.recipe.parse import Recipe


@dataclass(frozen=True)
class Options:
    """How a merge is run: the rank wanted of every layer (None: what the inputs add up to), and where."""

    rank: int | None = None
    device: str = "cpu"
    progress: bool = True


def merge_adapters(recipe: Recipe, out: Path, options: Options, force: bool = False) -> Report:
    """Write the merged adapter of a recipe to ``out``, whole or not at all; return what was made.

    Raises:
        RecipeError: the recipe's result is no adapter, or an adapter is not plain LoRA on the base.
        StatisticsError: no statistics for a changed layer, or of another shape or kind.
    """
    require_method(recipe)
    refuse_existing(out, force)
    base = base_of(recipe)
    adapters = {
        item.reference: read_adapter(item.reference.lora, item.reference.model)
        for item in recipe.inputs
        if item.reference.lora
    }
    ordered = [adapters[key] for key in sorted(adapters, key=str)]
    require_one_origin(base, ordered)
    numbers = plan(recipe.raw, base)
    if recipe.raw["merge_method"] == "linear":
        for weight in numbers.weights:
            linear_weights(weight)  # of weights without an adapter too
    with new_directory(out, force) as directory:
        with coverage.recorded() as found:
            layers, tensors = _layers(recipe, numbers, adapters, options)
        found.require_change()
        report = Report(tuple(layers), found if found.fates else None)
        write_weights(directory, tensors)
        write_configuration(directory, base, {layer.module: layer.rank for layer in layers}, ordered)
        text = card(out.name, recipe, base, ordered, report)
        (directory / "README.md").write_text(text, encoding="utf-8")
        shutil.copyfile(recipe.path, directory / "mergekit_config.yml")
    return report


def _layers(
    recipe: Recipe, numbers: Plan, adapters: Mapping[ModelReference, Adapter], options: Options
) -> tuple[list[MergedLayer], dict[str, Tensor]]:
    """Return every merged layer and its factors; a layer that comes out as zero is left out."""
    terms_of = METHODS[recipe.raw["merge_method"]]
    dtype = dtype_from_name(recipe.raw.get("out_dtype")) or torch.float32
    modules = sorted({module for adapter in adapters.values() for module in adapter.layers}, key=_natural)
    layers, tensors = [], {}
    for module in tqdm(modules, desc="Merging adapters", disable=not options.progress):
        having = {key: adapter for key, adapter in adapters.items() if module in adapter.layers}
        first = next(iter(having.values()))
        weight = numbers.of_module(module, first.source)
        changes = {key: adapter.pair(module, options.device) for key, adapter in having.items()}
        _require_one_shape(module, changes)
        terms = terms_of(weight, changes)
        if not terms:
            continue
        merged = total(terms, options.rank, sum(pair.rank for pair in changes.values()))
        if merged.full == 0:
            continue
        tensors |= factors_of(module, merged.pair, first.layers[module].embedding, dtype)
        layers.append(MergedLayer(module, merged.pair.rank, merged.exact, merged.full, merged.kept))
    if not layers:
        raise RecipeError("models: the merged adapter changes nothing; are all weights or factors 0?")
    return layers, tensors


def _require_one_shape(module: str, changes: Mapping[ModelReference, Pair]) -> None:
    shapes = {pair.shape: key for key, pair in changes.items()}
    if len(shapes) > 1:
        said = ", ".join(f"{list(shape)} in '{key.lora}'" for shape, key in shapes.items())
        raise RecipeError(f"models: {module} is {said}; merge adapters of one base")


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that puts layer 2 before layer 10."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
