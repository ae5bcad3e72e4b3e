"""What a checkpoint calls the parameters that transformers renames or joins when it loads them.

Qwen3-MoE's file holds ``mlp.experts.0.gate_proj.weight``, the model ``mlp.experts.gate_up_proj``. mergekit
merges what the model has; the recipe's check reads what the file has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily


@unset_fake_temporarily()  # stand-ins have data, also where a plan's model has none
def stored_names(model: nn.Module, names: Mapping[str, int | None]) -> dict[str, tuple[str, ...]]:
    """Return for each weight the names of the tensors that transformers saves it as, where they differ.

    Found by saving stand-ins: whatever comes out says by its numbers what it is made of.

    Args:
        model: perhaps wrapped by PEFT.
        names: of parameters -> how many experts are stacked in it; None: a matrix.
    """
    from transformers.core_model_loading import revert_weight_conversion

    inner: Any = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    stand_ins: dict[str, Tensor] = {}
    meaning: dict[int, str] = {}
    for name, count in names.items():
        numbers = torch.arange(len(meaning), len(meaning) + (count or 1))
        stand_ins[name] = numbers.double()[:, None, None].expand(-1, 2, 2).clone()
        if count is None:
            stand_ins[name] = stand_ins[name][0]
        slices = [name] if count is None else [f"{name}[{each}]" for each in range(count)]
        meaning |= dict(zip(numbers.tolist(), slices, strict=True))
    try:
        saved = revert_weight_conversion(inner, stand_ins)
    except (RuntimeError, ValueError, KeyError, AttributeError, TypeError):
        return {}  # conversions that need the real tensors; then names are taken as they are
    found: dict[str, tuple[str, ...]] = {}
    for name, tensor in saved.items():
        if name not in stand_ins:
            for number in tensor.unique().tolist():
                found[meaning[int(number)]] = (*found.get(meaning[int(number)], ()), name)
    return found
