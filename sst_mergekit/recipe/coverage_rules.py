"""The rule of merge_method sst on tensors without statistics that a patch would change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from mergekit.common import ModelReference

from sst_mergekit.checkpoints import ADAPTER, headers
from sst_mergekit.errors import SstError
from sst_mergekit.recipe.checkpoint import directory_of, local_headers, samples_differ
from sst_mergekit.recipe.fault import Fault, first_and_count
from sst_mergekit.recipe.parse import Input, Recipe
from sst_mergekit.recipe.sst_rules import EXPERT, SAFETY, UTILITY, experts, shared_values, text
from sst_mergekit.recipe.statistics_rules import measured
from sst_mergekit.statistics.forms import PEFT
from sst_mergekit.statistics.moe import unwrapped
from sst_mergekit.statistics.store import StatisticsStore


def patches_have_statistics(recipe: Recipe) -> Iterator[Fault]:
    """Yield safety experts that change tensors without statistics, on which the merge would stop half-way.

    Full models are compared by samples of their tensors, adapters by the layers they are on; what
    cannot be seen here is left to the merge.
    """
    stores = {item.key: store for item, store in measured(recipe)}
    if all(leaf.value != "error" for leaf in shared_values(recipe, "on_missing")):
        return
    utility = [item for item in experts(recipe) if text(item, "role") == UTILITY]
    interpolate = any(leaf.value == "interpolate" for leaf in shared_values(recipe, "patch"))
    start = utility[0].reference if interpolate and len(utility) == 1 else recipe.base
    for item in experts(recipe):
        role = text(item, "role")
        others = utility if role == SAFETY else [other for other in experts(recipe) if other is not item]
        needed = [item.key, *(other.key for other in others)]
        if role in (SAFETY, EXPERT) and start is not None and all(key in stores for key in needed):
            yield from _uncovered(item, start, [stores[key] for key in needed])


def _uncovered(item: Input, start: ModelReference, stores: list[StatisticsStore]) -> Iterator[Fault]:
    for store in stores:
        names = [name for name in changed(item.reference, start, store) if not store.covers(name)]
        images = [name for name in names if store.follows_utility(name)]
        if images:
            yield Fault(
                f"{item.key}.model",
                f"the patch changes {first_and_count(images)}, which text does not reach: the utility "
                "expert's are kept; set 'parameters.on_missing: add' to add them whole",
                warning=True,
            )
        names = [name for name in names if name not in images]
        if names:
            why = store.why_not(names[0])
            yield Fault(
                f"{item.key}.model",
                f"the patch changes {first_and_count(names)}, without statistics in {store.source} ({why}); "
                "set 'parameters.on_missing: add' to add them whole, or 'keep' for the utility expert's",
            )
            return


def changed(reference: ModelReference, start: ModelReference, store: StatisticsStore) -> list[str]:
    """Return tensors without statistics that surely differ between a model and where its patch starts."""
    if reference.lora or start.lora:
        if reference.model != start.model:
            return []
        return sorted(_adapted(reference) | _adapted(start))
    new, old = local_headers(reference), local_headers(start)
    return [
        name
        for name in new or ()
        if old and name in old and not store.covers(name) and samples_differ(name, new[name], old[name])  # type: ignore[index]
    ]


def _adapted(reference: ModelReference) -> set[str]:
    """Return the weights that a local adapter is on, by their names in the base model."""
    directory = directory_of(reference.lora) if reference.lora else None
    path = directory / ADAPTER if directory else None
    if path is None or not path.is_file():
        return set()
    try:
        keys = headers([path])
    except SstError:
        return set()
    stacks = targeted(path.parent)
    return {name for key in keys for name in _of_experts(weight_of(key), stacks) or [weight_of(key)]}


def targeted(directory: Path) -> list[str]:
    """Return the parameters that an adapter is on by name (PEFT's ``target_parameters``): experts."""
    try:
        config = json.loads((directory / "adapter_config.json").read_text(encoding="utf-8"))
        return [str(each) for each in config.get("target_parameters") or ()]
    except (OSError, ValueError, AttributeError, TypeError):
        return []  # a rule on the adapter itself says so


def _of_experts(weight: str, stacks: list[str]) -> list[str]:
    """Return the stacks that factors of a module's parameters may be of.

    >>> _of_experts("model.layers.0.mlp.experts.base_layer.weight", ["experts.down_proj"])
    ['model.layers.0.mlp.experts.down_proj']
    """
    module = unwrapped(weight.removesuffix(".weight"))
    pairs = [stack.rpartition(".")[::2] for stack in stacks]
    return [f"{module}.{name}" for path, name in pairs if f".{module}".endswith(f".{path}")]


def weight_of(key: str) -> str:
    """Return the base model's weight that a tensor of a PEFT adapter belongs to.

    >>> weight_of("base_model.model.model.layers.0.mlp.up_proj.lora_A.weight")
    'model.layers.0.mlp.up_proj.weight'
    """
    name = key.removeprefix(PEFT)
    return name.split(".lora_")[0] + ".weight" if ".lora_" in name else name


RULES = (patches_have_statistics,)
