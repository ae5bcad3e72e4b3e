"""Experts and routers whose products can be observed: each a module of its own, for the time of a block."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from sst_mergekit.statistics.moe import SECOND, Experts, experts_of, routers_of

NAME = "sst_mergekit"  # of our way to run experts, in transformers' table of them


class Product(nn.Module):
    """``x Wᵀ + b``, or ``x W + b`` of a weight that is stored [d_in, d_out]; it holds no weight itself."""

    def forward(
        self, x: Tensor, weight: Tensor, bias: Tensor | None = None, transposed: bool = False
    ) -> Tensor:
        """Return the product [n, d_out] of x [n, d_in]."""
        return functional.linear(x, weight.mT if transposed else weight, bias)


@dataclass(eq=False)
class Routed:
    """One expert, and the tokens that were sent to it last.

    Attributes:
        experts: the module that holds it.
        first, second: its two products.
        index: positions [n] of its rows, in a batch flattened to [batch * time], ascending.
        share: of all tokens that are sent to an expert if all get as many.
    """

    experts: nn.Module
    first: Product
    second: Product
    index: Tensor | None = None
    share: float = 1.0

    @property
    def device(self) -> torch.device:
        """Return where its weights are."""
        return next(self.experts.parameters()).device


@contextlib.contextmanager
def opened(model: nn.Module) -> Iterator[None]:
    """Run experts one by one and routers by products that can be hooked; undone after."""
    with contextlib.ExitStack() as undo:
        for experts in experts_of(model):
            undo.enter_context(_opened_experts(experts))
        for _, router in routers_of(model):
            undo.enter_context(_opened_router(router))
        yield


def opened_experts(experts: Experts) -> list[Routed]:
    """Return the experts of a layer one by one; empty outside of `opened`."""
    return experts.module.__dict__.get(NAME, [])


def opened_router(router: nn.Module) -> Product | None:
    """Return the product of a router; None outside of `opened`."""
    return router.__dict__.get(NAME)


@contextlib.contextmanager
def _opened_experts(experts: Experts) -> Iterator[None]:
    module = experts.module
    module.__dict__[NAME] = [Routed(module, Product(), Product()) for _ in range(experts.count)]
    before = None
    if experts.sorted:
        module.forward = functools.partial(_sorted_experts, experts)
    else:
        from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

        ALL_EXPERTS_FUNCTIONS.register(NAME, _routed_experts)
        before = module.config._experts_implementation
        module.config._experts_implementation = NAME
    try:
        yield
    finally:
        if experts.sorted:
            del module.forward
        else:
            module.config._experts_implementation = before
        del module.__dict__[NAME]


def _routed_experts(module: Any, hidden: Tensor, top_k_index: Tensor, top_k_weights: Tensor) -> Tensor:
    """Return what the experts make of hidden [tokens, d]: transformers' eager loop, with our products.

    Args:
        module: the experts.
        hidden: [tokens, d].
        top_k_index, top_k_weights: [tokens, k], where each token is sent, and how much each answer counts.
    """
    run = _Expert(module, "gate_up_proj" if module.has_gate else "up_proj", module.is_transposed)
    out = torch.zeros_like(hidden)
    experts: list[Routed] = module.__dict__[NAME]
    if isinstance(hidden, FakeTensor):
        return _foreseen(run, experts, hidden, top_k_weights)
    for number, each in enumerate(experts):
        token, slot = (top_k_index == number).nonzero(as_tuple=True)
        if len(token):
            each.index = token
            answer = run(number, each, hidden[token]) * top_k_weights[token, slot, None]
            out.index_add_(0, token, answer.to(out.dtype))
    return out


def _sorted_experts(experts: Experts, hidden: Tensor) -> Tensor:
    """Return what Llama 4's experts make of hidden [E * tokens, d]; rows of zeros give zeros."""
    module, count = experts.module, experts.count
    run = _Expert(module, experts.first, experts.transposed)
    tokens = len(hidden) // count
    out = torch.zeros_like(hidden)
    if isinstance(hidden, FakeTensor):
        sent = hidden.view(count, tokens, -1)[0]
        answer = _foreseen(run, module.__dict__[NAME], sent, sent.new_ones(tokens, 1))
        return answer.repeat(count, 1)
    for number, each in enumerate(module.__dict__[NAME]):
        rows = hidden[number * tokens : (number + 1) * tokens]
        token = rows.detach().abs().amax(1).nonzero()[:, 0]
        if len(token):
            each.index = token
            out.index_add_(0, number * tokens + token, run(number, each, rows[token]))
    return out


def _foreseen(run: _Expert, experts: list[Routed], hidden: Tensor, weights: Tensor) -> Tensor:
    """Return what experts make of hidden [tokens, d] without data, and note that each gets as many tokens.

    One does the work of all: the operations and the memory are the same, whoever does them.

    Args:
        run: calls an expert.
        experts: of one layer.
        hidden: [tokens, d].
        weights: of the answers [tokens, k].
    """
    tokens, k = weights.shape
    for each in experts:
        each.share = k / len(experts)
    answers = run(0, experts[0], hidden.repeat_interleave(k, 0)).view(tokens, k, -1)
    return (answers * weights[..., None]).sum(1).to(hidden.dtype)


class _Expert:
    """One expert's function, of a module's slices."""

    def __init__(self, module: Any, first: str, transposed: bool) -> None:
        self._module, self._transposed = module, transposed
        self._weights = [getattr(module, name) for name in (first, SECOND)]
        self._biases = [getattr(module, f"{name}_bias", None) for name in (first, SECOND)]

    def __call__(self, number: int, each: Routed, x: Tensor) -> Tensor:
        module = self._module
        inner = self._product(each.first, 0, number, x)
        if hasattr(module, "_apply_gate") and module.has_gate:
            inner = module._apply_gate(inner)
        elif getattr(module, "has_gate", True):
            gate, up = inner.chunk(2, dim=-1)
            inner = up * module.act_fn(gate)
        else:
            inner = module.act_fn(inner)
        outer = self._product(each.second, 1, number, inner)
        return module.post_expert_norm(outer) if getattr(module, "has_post_expert_norm", False) else outer

    def _product(self, product: Product, which: int, number: int, x: Tensor) -> Tensor:
        weight, bias = self._weights[which], self._biases[which]
        return product(x, weight[number], None if bias is None else bias[number], self._transposed)


@contextlib.contextmanager
def _opened_router(router: nn.Module) -> Iterator[None]:
    """Let the router's linear map go through a product, whatever else the router does and returns."""
    product = router.__dict__[NAME] = Product()
    through = _Through(product, tuple(router.weight.shape))  # type: ignore[arg-type]

    def begin(_module: nn.Module, _args: tuple) -> None:
        through.__enter__()

    def end(_module: nn.Module, _args: tuple, _output: Any) -> None:
        through.__exit__(None, None, None)

    handles = [
        router.register_forward_pre_hook(begin),
        router.register_forward_hook(end, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        del router.__dict__[NAME]


class _Through(TorchFunctionMode):
    """Calls a product in place of `functional.linear` with a weight of some shape (perhaps a cast copy)."""

    def __init__(self, product: Product, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._product, self._shape = product, shape

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is functional.linear and tuple(args[1].shape) == self._shape:
            return self._product(*args, **named)
        return func(*args, **named)
