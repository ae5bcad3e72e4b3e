"""The rule on models that see images whose files name vision otherwise than mergekit 0.1.5 does."""

from __future__ import annotations

from collections.abc import Iterator

from mergekit.architecture import arch_info_for_config
from mergekit.architecture.conversion import can_convert_checkpoint_keys
from mergekit.common import ModelReference

from sst_mergekit.recipe.checkpoint import directory_of, local_headers
from sst_mergekit.recipe.fault import Fault
from sst_mergekit.recipe.layout_rules import quiet
from sst_mergekit.recipe.parse import Recipe
from sst_mergekit.statistics.forms import is_of_images

_GONE = "vision_tower.vision_model."  # Gemma-3's on the Hub and for mergekit; transformers 5 drops it


def vision_by_mergekits_names(recipe: Recipe) -> Iterator[Fault]:
    """Yield models without a tensor that mergekit reads, on which the merge would stop half-way.

    Such are Gemma-3 saved by transformers 5, and an adapter on it, which mergekit folds and saves that way.
    """
    for reference, key in recipe.references().items():
        model, found = reference.model, local_headers(reference) or {}
        needed = _of_images(reference) if found else {}
        lost = next((name for name, kind in needed.items() if not _there(name, kind, found)), None)
        if lost:
            what = f"'{model}' lacks {lost}, which mergekit reads"
            yield Fault(key, f"{what}; name the tensors of its vision as the Hub's files do ('{_GONE}')")
        elif reference.lora and any(name.startswith(_GONE) for name in needed):
            yield Fault(
                key,
                f"folded into '{model}', '{reference.lora}' would lack {_GONE}*, which mergekit reads and "
                "transformers 5 does not write; merge adapters into an adapter with 'sst-mergekit lora'",
            )


def _of_images(reference: ModelReference) -> dict[str, str]:
    """Return the tensors of vision that mergekit requires of a model -> its type; none where that fails."""
    if directory_of(reference.model) is None:
        return {}
    with quiet():
        try:
            config = reference.config()
            described = arch_info_for_config(config)
            every = described.all_weights(config) if described else []
        except Exception:  # noqa: BLE001  (mergekit and transformers raise many kinds; the merge says why)
            return {}
    return {each.name: config.model_type for each in every if is_of_images(each.name) and not each.optional}


def _there(name: str, model_type: str, found: dict) -> bool:
    return name in found or can_convert_checkpoint_keys(model_type, set(found), name)


RULES = (vision_by_mergekits_names,)
