"""Rules on what mergekit 0.1.5 cannot read or leaves out where it knows a model by its tensors alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from mergekit.architecture import arch_info_for_config, get_architecture_info
from mergekit.common import ModelReference
from mergekit.config import MergeConfiguration
from mergekit.options import MergeOptions

from sst_mergekit.recipe.checkpoint import directory_of, local_headers
from sst_mergekit.recipe.fault import Fault, first_and_count
from sst_mergekit.recipe.parse import Recipe


def experts_left_out(recipe: Recipe) -> Iterator[Fault]:
    """Yield stacks of experts that mergekit 0.1.5 would not write, and say nothing of it.

    Where it knows an architecture by its tensors alone, what not every layer has is optional, and optional
    tensors are skipped unless a file has them by that name: DeepSeek-V3's files hold experts one by one.
    """
    known = {name for reference in recipe.references() for name in local_headers(reference) or ()}
    if not any(".experts.0." in name for name in known):
        return
    optional = sorted(_optional(recipe) - known)
    lost = [name for name in optional if any(each.startswith(_first_expert(name)) for each in known)]
    if lost:
        yield Fault(
            "models",
            f"mergekit would leave out {first_and_count(lost)}, whose experts the files hold one by one; "
            "save base and experts again with save_pretrained(..., save_original_format=False)",
        )


def adapters_can_be_read(recipe: Recipe) -> Iterator[Fault]:
    """Yield adapters on a model that mergekit knows by its tensors alone: then it reads full models only."""
    adapters = [item for item in recipe.inputs if item.reference.lora and directory_of(item.reference.model)]
    for item in adapters:
        if not _described(item.reference):
            yield Fault(
                f"{item.key}.model",
                f"mergekit has no description of '{item.reference.model}' and then reads no adapters; "
                "fold it with PEFT (merge_and_unload, save_pretrained) and name the folded model",
            )


def _described(reference: ModelReference) -> bool:
    """Return whether mergekit has a description of the model; if it fails, the merge will say why."""
    with quiet():
        try:
            return arch_info_for_config(reference.config()) is not None
        except Exception:  # noqa: BLE001  (mergekit and transformers raise many kinds)
            return True


def _optional(recipe: Recipe) -> set[str]:
    """Return the tensors that mergekit takes as optional; none where it fails, which the merge will say."""
    with quiet():
        try:
            config = MergeConfiguration.model_validate(recipe.raw)
            architecture = get_architecture_info(config, MergeOptions())
            weights = architecture.all_weights(config.referenced_models()[0].config())
        except Exception:  # noqa: BLE001  (mergekit and transformers raise many kinds)
            return set()
    return {each.name for each in weights if each.optional}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep mergekit's warnings for its merge."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _first_expert(stack: str) -> str:
    """Return how the names of the first expert's own tensors begin.

    >>> _first_expert("model.layers.1.mlp.experts.gate_up_proj")
    'model.layers.1.mlp.experts.0.'
    """
    return f"{stack.rpartition('.')[0]}.0."


RULES = (experts_left_out, adapters_can_be_read)
