"""A recipe's patches, filtered one at a time as the merge would, without writing a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mergekit.common import ModelReference
from torch import Tensor

from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.adapters.plan import Plan, plan
from sst_mergekit.core.kept import Kept, kept
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin.evidence import Side, Source, opened
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


@dataclass(frozen=True)
class Scene:
    """One patched expert: what its patch is of, and what it is filtered with.

    Attributes:
        expert: the one that is patched.
        start: what its patch is measured from.
        utilities: the utility experts; none where all experts are of equal standing.
        harm, benign: where its statistics are, and those that price it.
        numbers: the recipe's, of every weight.
    """

    expert: ModelReference
    start: ModelReference
    utilities: tuple[ModelReference, ...]
    harm: Source
    benign: Side
    numbers: Plan

    @property
    def geometry(self) -> str:
        """Return the name of the recipe's geometry."""
        return self.numbers.weights[0].shared["geometry"]

    def layers(self) -> Iterator[tuple[str, LayerFilter | None, Tensor]]:
        """Yield each changed weight's name, its filter (None: no statistics) and its patch, [d_out, d_in]."""
        for name, change, stored in deltas(str(self.start), str(self.expert)):
            found = self.numbers.of_module(name.removesuffix(".weight"), str(self.expert))
            layer = PatchFilter.of(found.shared).layer(found.name, self.harm, self.benign)
            yield found.name, layer, change.T if layer and stored and layer.transposed else change


def inspect(recipe: Recipe) -> Iterator[Inspected]:
    """Yield what the merge would keep of every changed weight, a weight at a time.

    Raises:
        RecipeError: the recipe is of another method or form, or a model cannot be read.
        StatisticsError: no statistics for a changed weight, or of another shape or kind.
    """
    for scene in scenes(recipe):
        stores = opened((scene.harm,), scene.benign)
        for name, layer, patch in scene.layers():
            yield _inspected(str(scene.expert), name, layer, patch, stores)


def scenes(recipe: Recipe) -> Iterator[Scene]:
    """Yield the patched experts of a recipe.

    Raises:
        RecipeError: the recipe is of another method or form.
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
        yield Scene(expert, start, experts.utility, harm, benign, numbers)


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


def _inspected(
    expert: str, name: str, layer: LayerFilter | None, patch: Tensor, stores: Sequence[StatisticsStore]
) -> Inspected:
    if layer is None:
        return Inspected(expert, name, None, "no statistics: the utility expert's weight is kept")
    found = layer.ask(kept, patch)
    notes = list(dict.fromkeys(note for store in stores if (note := _few(store.manifest, layer))))
    if found.norm < LITTLE:
        notes.insert(0, f"only {found.norm:.1%} of the norm is left")
    return Inspected(expert, name, found, "; ".join(notes))


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
