"""Which modules of a model are mixtures of experts: 3-D parameters, a slice an expert, and their routers.

Understood are the experts that transformers runs through its own interface (Qwen3-MoE, Mixtral, OLMoE,
gpt-oss, DeepSeek-V3 and their like) and Llama 4's. Of others `linear_layers` names what it leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

SECOND = "down_proj"


@dataclass(frozen=True)
class Experts:
    """One layer's experts.

    Attributes:
        path: of the module.
        module: it holds the parameters of both products, [E, d_out, d_in] or [E, d_in, d_out].
        first: name of the first product's parameter; the second's is ``down_proj``.
        transposed: a slice is [d_in, d_out].
        sorted: its inputs come as [E * tokens, d], zeros where a token is not sent to an expert (Llama 4).
    """

    path: str
    module: Any
    first: str
    transposed: bool
    sorted: bool

    @property
    def count(self) -> int:
        """Return how many experts there are."""
        return getattr(self.module, SECOND).shape[0]


def experts_of(model: nn.Module) -> list[Experts]:
    """Return the experts of every layer that has some."""
    found = []
    for path, module in model.named_modules():
        first = next((name for name in ("gate_up_proj", "up_proj") if _is_stack(module, name)), None)
        if first is None or not _is_stack(module, SECOND):
            continue
        if hasattr(module, "is_transposed"):
            found.append(Experts(path, module, first, bool(module.is_transposed), sorted=False))
        elif type(module).__name__ == "Llama4TextExperts":
            found.append(Experts(path, module, first, transposed=True, sorted=True))
    return found


def routers_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield (path, module) of what sends tokens to experts and returns more than one linear map's output.

    It stands beside the experts and holds a weight [E, d_in]; a plain linear layer needs no other treatment.
    """
    for experts in experts_of(model):
        parent = unwrapped(experts.path).rpartition(".")[0]
        for name, module in model.get_submodule(parent).named_children():
            weight = module._parameters.get("weight")
            if type(module) is not nn.Linear and weight is not None and weight.ndim == 2:
                yield f"{parent}.{name}", module


def unwrapped(path: str) -> str:
    """Return a module's path without the wrappers that PEFT put around the module.

    >>> unwrapped("model.layers.0.mlp.experts.base_layer.base_layer")
    'model.layers.0.mlp.experts'
    """
    return re.sub(r"(\.base_layer)+$", "", path)


def _is_stack(module: nn.Module, name: str) -> bool:
    parameter = module._parameters.get(name)
    return parameter is not None and parameter.ndim == 3 and parameter.is_floating_point()
