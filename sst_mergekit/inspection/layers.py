"""A recipe's patches, filtered one at a time as the merge would, without writing a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergekit.common import ModelReference
from torch import Tensor

from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.adapters.plan import Numbers, Plan, plan
from sst_mergekit.core.kept import Kept, kept
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin.evidence import opened
from sst_mergekit.plugin.layer_filter import LayerFilter
from sst_mergekit.plugin.patching import PatchFilter
from sst_mergekit.plugin.roles import Cast, cast, sources
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.statistics.manifest import Manifest
from sst_mergekit.statistics.store import StatisticsStore

METHOD = "sst"
LITTLE = 0.05  # of the patch's norm: hardly anything is merged


@dataclass(frozen=True)
class Inspected:
    """One changed weight of one patched expert; `kept` is None where it has no statistics and is dropped.

    Attributes:
        expert: as the recipe names it.
        weight: the weight's name.
        kept: what the filter keeps.
        warning: what to look at, or an empty string.
    """

    expert: str
    weight: str
    kept: Kept | None
    warning: str


def inspect(recipe: Recipe) -> Iterator[Inspected]:
    """Yield what the merge would keep of every changed weight, a weight at a time.

    Raises:
        RecipeError: the recipe is of another method or form, or a model cannot be read.
        StatisticsError: no statistics for a changed weight, or of another shape or kind.
    """
    if recipe.raw.get("merge_method") != METHOD or recipe.base is None:
        raise RecipeError(f"merge_method: got '{recipe.raw.get('merge_method')}'; only sst filters patches")
    numbers = plan(recipe.raw, recipe.base)
    own = numbers.weights[0].own
    roles = {model: values["role"] for model, values in own.items() if "role" in values}
    experts = cast(roles)
    fisher = {model: own[model].get("fisher", "") for model in roles}
    weight = {model: float(own[model]["weight"]) for model in roles}
    for expert in experts.patched:
        start = _start(recipe, experts, numbers.weights[0].shared)
        (harm,) = sources([expert], fisher)
        benign = experts.price(expert, fisher, weight)
        stores = opened((harm,), benign)
        for name, change, stored in deltas(str(start), str(expert)):
            found = _numbers(numbers, name, str(expert))
            layer = PatchFilter.of(found.shared).layer(found.name, harm, benign)
            yield _inspected(str(expert), found, layer, change, stored, stores)


def _start(recipe: Recipe, experts: Cast[ModelReference], shared: Mapping[str, Any]) -> ModelReference:
    """Return the model that patches are measured from."""
    if shared["filter"] == "data_free":
        raise RecipeError("parameters.filter: 'data_free' has no statistics to inspect")
    if shared["patch"] == "add":
        assert recipe.base is not None
        return recipe.base
    if len(experts.utility) != 1 or experts.utility[0].lora:
        raise RecipeError("parameters.patch: 'interpolate' is inspected for one full utility expert alone")
    return experts.utility[0]


def _numbers(numbers: Plan, name: str, expert: str) -> Numbers:
    return numbers.of_module(name.removesuffix(".weight"), expert)


def _inspected(
    expert: str,
    numbers: Numbers,
    layer: LayerFilter | None,
    change: Tensor,
    stored: bool,
    stores: Sequence[StatisticsStore],
) -> Inspected:
    if layer is None:
        return Inspected(expert, numbers.name, None, "no statistics: the utility expert's weight is kept")
    patch = change.T if stored and layer.transposed else change
    found = layer.ask(kept, patch)
    notes = list(dict.fromkeys(note for store in stores if (note := _few(store.manifest, layer))))
    if found.norm < LITTLE:
        notes.insert(0, f"only {found.norm:.1%} of the norm is left")
    return Inspected(expert, numbers.name, found, "; ".join(notes))


def _few(manifest: Manifest, layer: LayerFilter) -> str:
    """Return a note where fewer samples were measured than the statistics have dimensions."""
    needs = layer.geometry.needs
    if "scores" in needs:
        count, unit, size = manifest.data["sequences"], "sequences", layer.harm.tensors["scores"].shape[1]
    elif "input" in needs:
        sides = [tensor for name, tensor in layer.harm.tensors.items() if name in ("input", "output")]
        count, unit = manifest.data["tokens"], "response tokens"
        size = max((len(tensor) for tensor in sides if tensor.ndim == 2), default=0)
    else:
        return ""
    return f"{count} {unit} for {size} dimensions" if count < size else ""
