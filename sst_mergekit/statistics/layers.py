"""Which weights of a model are measured: linear layers, embeddings, experts, by their checkpoint names."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sst_mergekit.statistics.forms import NOT_BY_TEXT, PEFT, is_of_images
from sst_mergekit.statistics.memory import place
from sst_mergekit.statistics.moe import SECOND, experts_of, routers_of, unwrapped
from sst_mergekit.statistics.naming import stored_names
from sst_mergekit.statistics.routing import Routed, opened_experts, opened_router

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
        routed: the expert whose product it is; then its weight is the slice ``name[3]`` of a parameter.
        stored: names of the tensors that hold it in checkpoints, where transformers renames or joins these.
    """

    name: str
    module: nn.Module
    shape: tuple[int, int]
    transposed: bool
    embedding: bool = False
    head: bool = False
    routed: Routed | None = None
    stored: tuple[str, ...] = ()

    @property
    def stack(self) -> str:
        """Return the name of the parameter that holds the weights of all experts of the layer."""
        return self.name.rpartition("[")[0]


def linear_layers(model: nn.Module) -> tuple[list[Layer], dict[str, str]]:
    """Return the layers to measure, and the weights left out with the reason.

    Layers added by PEFT are not measured; the base linear layers below them are, under the names
    they have in the base checkpoint.
    """
    from transformers.pytorch_utils import Conv1D

    apart = {id(module) for _, module in routers_of(model)} | {id(e.module) for e in experts_of(model)}
    head, tokens = base_module(model.get_output_embeddings()), base_module(model.get_input_embeddings())  # type: ignore[operator]
    shared = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    layers: list[Layer] = []
    skipped: dict[str, str] = {}
    adapters = _adapter_prefixes(model)
    for path, module in model.named_modules():
        if _is_added(path, adapters) or id(module) in apart:
            continue
        if is_of_images(f"{checkpoint_name(path)}."):
            skipped |= {f"{checkpoint_name(path)}.{name}": NOT_BY_TEXT for name in _own(module)}
            continue
        if not isinstance(module, nn.Linear | Conv1D | nn.Embedding):
            skipped |= _not_linear(path, module)
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
    routed, left_out = _routed(model)
    return layers + routed, skipped | left_out


def _routed(model: nn.Module) -> tuple[list[Layer], dict[str, str]]:
    """Return the products of routers and experts, where these are opened, and what else they hold."""
    layers: list[Layer] = []
    skipped: dict[str, str] = {}
    for path, router in routers_of(model):
        product, name = opened_router(router), f"{checkpoint_name(path)}.weight"
        if product is not None:
            rows, columns = router.weight.shape  # type: ignore[operator]
            layers.append(Layer(name, product, (rows, columns), transposed=False))  # type: ignore[arg-type]
    for experts in experts_of(model):
        path = checkpoint_name(experts.path)
        sides = [(name, getattr(experts.module, name).shape[1:]) for name in (experts.first, SECOND)]
        for number, routed in enumerate(opened_experts(experts)):
            for (name, shape), product in zip(sides, (routed.first, routed.second), strict=True):
                shape = tuple(shape[::-1] if experts.transposed else shape)
                whole = f"{path}.{name}[{number}]"
                layers.append(Layer(whole, product, shape, experts.transposed, routed=routed))
        skipped |= _not_linear(experts.path, experts.module, {experts.first, SECOND})
    return _named_as_stored(model, layers), skipped


def _not_linear(path: str, module: nn.Module, but: Collection[str] = ()) -> dict[str, str]:
    """Return a module's own matrices and stacks of them that are no layer that is measured, and why."""
    why = f"of {type(module).__name__}, not a linear layer that is understood"
    return {
        f"{checkpoint_name(path)}.{name}": why
        for name, parameter in _own(module).items()
        if parameter.ndim > 1 and name not in but
    }


def _own(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: each for name, each in module._parameters.items() if each is not None}


def _named_as_stored(model: nn.Module, layers: list[Layer]) -> list[Layer]:
    """Return the layers with the names that a checkpoint has for their weights, where it has others."""
    counts = Counter(layer.stack for layer in layers if layer.routed)
    names = {layer.stack or layer.name: counts.get(layer.stack) for layer in layers}
    stored = stored_names(model, names)
    return [dataclasses.replace(layer, stored=stored.get(layer.name, ())) for layer in layers]


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
    added = (path.startswith(prefix) and unwrapped(path) != prefix[:-1] for prefix in adapters)
    return path.endswith(".original_module") or any(added)


def checkpoint_name(path: str) -> str:
    """Return a module's path as the base checkpoint has it, without PEFT's wrapping.

    >>> checkpoint_name("base_model.model.model.layers.0.mlp.up_proj.base_layer")
    'model.layers.0.mlp.up_proj'
    """
    return unwrapped(path.removeprefix(PEFT)).removesuffix(TRAINED_COPY)


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

        def reached(_module: nn.Module, _args: tuple, *, name: str = layer.name) -> None:
            groups[name] = name

        if layer.routed:  # measured if any tokens reach its layer: a few may not reach every expert
            handles.append(layer.routed.experts.register_forward_pre_hook(reached))
        else:
            handles.append(layer.module.register_forward_pre_hook(hook))
    try:
        with torch.no_grad():
            model(**batch)
    finally:
        for handle in handles:
            handle.remove()
    return groups
