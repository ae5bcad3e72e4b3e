"""What an expert changes of its base, one weight at a time: a full model or ``base+adapter``."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from mergekit.common import ModelReference
from mergekit.io import LazyTensorLoader
from torch import Tensor

from sst_mergekit.adapters.reading import read_adapter
from sst_mergekit.checkpoints import DEQUANTIZE, quantised
from sst_mergekit.errors import RecipeError
from sst_mergekit.statistics.fingerprint import local_directory


def deltas(base: str, expert: str, vectors: bool = False) -> Iterator[tuple[str, Tensor, bool]]:
    """Yield (weight's name, change in float32, whether it is as stored) of every changed matrix (and vector).

    An adapter's changes are [d_out, d_in]; those of a full model are as the checkpoint stores the weight.

    Args:
        base: id or path of a model.
        expert: of a model made from it, or ``base+adapter``.
        vectors: yield changed tensors that are no matrices too.

    Raises:
        RecipeError: a model or adapter cannot be read, or it changes experts of a mixture.
    """
    reference = ModelReference.parse(expert)
    if reference.lora is not None:
        if ModelReference(model=reference.model) != ModelReference.parse(base):
            raise RecipeError(
                f"{expert}: its adapter is not on '{base}'; name the base that it was trained on"
            )
        adapter = read_adapter(reference.lora, reference.model)
        for module in adapter.layers:
            yield f"{module}.weight", adapter.pair(module).dense().to(torch.float32), False
        return
    old, new = _open(base), _open(expert)
    for name in sorted(new.index.tensor_paths):
        if name not in old.index.tensor_paths:
            continue
        after, before = new.get_tensor(name), old.get_tensor(name)
        if after is None or before is None or after.shape != before.shape:
            continue
        if after.ndim not in (2, 3) and not vectors:
            continue
        change = after.to(torch.float32) - before.to(torch.float32)
        if bool(change.any()):
            _require_no_expert(expert, name, change)
            yield name, change, True


def _require_no_expert(expert: str, name: str, change: Tensor) -> None:
    """Raise RecipeError for the change of an expert, or of a stack of them, in a mixture of experts."""
    if change.ndim == 3 or re.search(r"\.experts\.\d+\.", name):
        raise RecipeError(
            f"{expert}: changes {name}, of a mixture of experts, which only whole merges take apart; "
            "use 'sst-mergekit yaml' (inspect, refit and --patch take dense layers)"
        )


def _open(model: str) -> LazyTensorLoader:
    try:
        loader = ModelReference.parse(model).lazy_loader(cache_dir=None, lazy_unpickle=True)
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RecipeError(f"{model}: its weights cannot be read ({reason})") from None
    directory = local_directory(model)
    if directory and (how := quantised(directory)):
        raise RecipeError(f"{model}: quantised ({how}), so its numbers are no weights; {DEQUANTIZE}")
    if not loader.index.is_safetensors:
        raise RecipeError(f"{model}: holds no safetensors; convert its weights, pickles are not read")
    return loader
