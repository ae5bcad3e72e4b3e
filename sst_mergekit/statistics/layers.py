"""Which weights of a model are measured: linear layers and embeddings, by their checkpoint names."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sst_mergekit.statistics.memory import place

TRAINED_COPY = ".modules_to_save.default"  # PEFT's place for a layer that is trained whole


@dataclass(frozen=True)
class Layer:
    """A linear map of the model.

    Attributes:
        name: the weight's name in the checkpoint.
        module: the module whose input and output are observed.
        shape: (d_out, d_in) of the map.
        transposed: its weight is stored [d_in, d_out].
        embedding: its input is token ids (one-hot rows).
        head: it maps to the vocabulary.
    """

    name: str
    module: nn.Module
    shape: tuple[int, int]
    transposed: bool
    embedding: bool
    head: bool


def linear_layers(model: nn.Module) -> tuple[list[Layer], dict[str, str]]:
    """Return the layers to measure, and the weights left out with the reason.

    Layers added by PEFT are not measured; the base linear layers below them are, under the names
    they have in the base checkpoint.
    """
    from transformers.pytorch_utils import Conv1D

    head, tokens = base_module(model.get_output_embeddings()), base_module(model.get_input_embeddings())  # type: ignore[operator]
    shared = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    layers: list[Layer] = []
    skipped: dict[str, str] = {}
    adapters = _adapter_prefixes(model)
    for path, module in model.named_modules():
        if not isinstance(module, nn.Linear | Conv1D | nn.Embedding) or _is_added(path, adapters):
            continue
        name = checkpoint_name(path) + ".weight"
        weight = module.weight
        if shared[id(weight)] > 1:
            skipped[name] = "tied to another weight, whose use is not one linear layer"
            continue
        if not weight.is_floating_point():
            skipped[name] = f"quantised ({weight.dtype})"
            continue
        if isinstance(module, nn.Embedding) and module is not tokens:
            skipped[name] = "an embedding, but not of the input tokens"
            continue
        transposed = not isinstance(module, nn.Linear)
        rows, columns = weight.shape
        layers.append(
            Layer(
                name=name,
                module=module,
                shape=(columns, rows) if transposed else (rows, columns),
                transposed=transposed,
                embedding=isinstance(module, nn.Embedding),
                head=module is head,
            )
        )
    return layers, skipped


def base_module(module: Any) -> Any:
    """Return the layer below PEFT's wrapping that the model runs: its own, or the trained copy of it."""
    copies = getattr(module, "modules_to_save", None)
    return copies["default"] if copies else getattr(module, "base_layer", module)


def _adapter_prefixes(model: nn.Module) -> tuple[str, ...]:
    if "peft" not in sys.modules:  # then no layer can be of it, and its import is saved
        return ()
    from peft.tuners.tuners_utils import BaseTunerLayer

    return tuple(f"{path}." for path, m in model.named_modules() if isinstance(m, BaseTunerLayer))


def _is_added(path: str, adapters: tuple[str, ...]) -> bool:
    """Return whether PEFT added the module (a base layer is the model's own), or runs a copy of it."""
    return path.endswith(".original_module") or any(
        path.startswith(prefix) and path != f"{prefix}base_layer" for prefix in adapters
    )


def checkpoint_name(path: str) -> str:
    """Return a module's path as the base checkpoint has it, without PEFT's wrapping.

    >>> checkpoint_name("base_model.model.model.layers.0.mlp.up_proj.base_layer")
    'model.layers.0.mlp.up_proj'
    """
    return path.removeprefix("base_model.model.").removesuffix(".base_layer").removesuffix(TRAINED_COPY)


def input_groups(model: nn.Module, layers: list[Layer], batch: dict[str, torch.Tensor]) -> dict[str, str]:
    """Return for each layer the name of the first layer that reads the very same input tensor.

    Such layers (q/k/v, gate/up) share one input factor. Found by one forward pass, not by names.
    Layers that the pass does not reach are absent.
    """
    seen: dict[tuple, str] = {}
    keep_alive: list[torch.Tensor] = []
    groups: dict[str, str] = {}
    handles = []
    for layer in layers:

        def hook(_module: nn.Module, args: tuple, *, name: str = layer.name) -> None:
            keep_alive.append(args[0])
            key = (place(args[0]), args[0].storage_offset(), args[0]._version, args[0].shape)
            groups[name] = seen.setdefault(key, name)

        handles.append(layer.module.register_forward_pre_hook(hook))
    try:
        with torch.no_grad():
            model(**batch)
    finally:
        for handle in handles:
            handle.remove()
    return groups
