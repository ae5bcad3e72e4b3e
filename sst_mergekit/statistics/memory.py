"""What a measurement holds in memory, and how its layers are parted so that a bound is kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sst_mergekit.statistics.tokens import Batch

SPARE = 1.5  # what a batch takes at its peak, over what it keeps for the backward pass
FIXED = 64 * 10**6  # allocators, buffers of the maths library
SHARD = 4 * 10**9  # bytes of a file of statistics at most


def shard(max_memory: int | None) -> int:
    """Return the most bytes of a file of statistics: it is copied while it is written, within the bound."""
    return min(SHARD, max_memory // 8) if max_memory else SHARD


def in_use(device: str) -> int:
    """Return the bytes that this process holds: on a GPU its tensors, else its resident set."""
    if device.startswith("cuda"):
        return torch.cuda.memory_allocated(device)
    import psutil

    return psutil.Process().memory_info().rss


def place(tensor: Tensor) -> int:
    """Return what tells a tensor's storage from others while it is there; of tensors without data too."""
    return tensor.untyped_storage()._cdata


def weights(model: nn.Module) -> int:
    """Return the bytes of a model's parameters and buffers, each storage once."""
    storages = {place(each): each.untyped_storage() for each in [*model.parameters(), *model.buffers()]}
    return sum(storage.nbytes() for storage in storages.values())


def batch_bytes(model: Any, batch: Batch, inputs: Mapping[str, nn.Module]) -> tuple[int, int]:
    """Return what a batch keeps for its backward pass, and what the inputs of some layers take, in bytes.

    Counted in one forward pass: tensors that autograd saves, the model's own left out.
    """
    own = {place(tensor) for tensor in [*model.parameters(), *model.buffers()]}
    saved: dict[int, int] = {}
    seen: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        if place(tensor) not in own:
            saved[place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor.detach()  # an output that holds its own node would never be freed

    def begin(_module: nn.Module, _args: tuple, output: Tensor) -> None:
        output.requires_grad_(True)

    def look(_module: nn.Module, args: tuple) -> None:
        seen[id(_module)] = args[0].nbytes

    handles = [model.get_input_embeddings().register_forward_hook(begin)]
    handles += [module.register_forward_pre_hook(look) for module in inputs.values()]
    try:
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits
    finally:
        for handle in handles:
            handle.remove()
    return sum(saved.values()) + 3 * logits.numel() * 4, sum(seen.values())


def grouped(held: Mapping[str, int], budget: int) -> list[list[str]]:
    """Return the layers in groups, in order, each within the budget where a layer alone is.

    >>> grouped({"a": 3, "b": 2, "c": 4}, 5)
    [['a', 'b'], ['c']]
    """
    groups: list[list[str]] = []
    room = 0
    for name, size in held.items():
        if not groups or size > room:
            groups.append([])
            room = budget
        groups[-1].append(name)
        room -= size
    return groups
