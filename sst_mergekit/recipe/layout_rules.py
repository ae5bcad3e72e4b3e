"""A rule on mixtures of experts: mergekit leaves stacks out that only some layers of a model have."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from mergekit.architecture import get_architecture_info
from mergekit.config import MergeConfiguration
from mergekit.options import MergeOptions

from sst_mergekit.recipe.checkpoint import local_headers
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


def _optional(recipe: Recipe) -> set[str]:
    """Return the tensors that mergekit takes as optional; none where it cannot tell, which the merge will say."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        config = MergeConfiguration.model_validate(recipe.raw)
        architecture = get_architecture_info(config, MergeOptions())
        weights = architecture.all_weights(config.referenced_models()[0].config())
    except Exception:  # noqa: BLE001  (mergekit and transformers raise many kinds)
        return set()
    finally:
        logging.disable(before)
    return {each.name for each in weights if each.optional}


def _first_expert(stack: str) -> str:
    """Return how the names of the first expert's own tensors begin.

    >>> _first_expert("model.layers.1.mlp.experts.gate_up_proj")
    'model.layers.1.mlp.experts.0.'
    """
    return f"{stack.rpartition('.')[0]}.0."


RULES = (experts_left_out,)
