"""One batch through the model, seen by the layers that are measured."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.kinds.kind import Kind
from sst_mergekit.statistics.labels import summed_loss
from sst_mergekit.statistics.packing import Packing
from sst_mergekit.statistics.positions import RESPONSE, Positions
from sst_mergekit.statistics.routing import opened
from sst_mergekit.statistics.tokens import IGNORED, Batch

Labels = Callable[[Tensor, Tensor, Batch], Tensor]  # (logits, labels of the data, batch) -> labels


class _Enough(Exception):  # noqa: N818 (ends a forward pass early)
    """Everything that is measured has been seen."""


@contextlib.contextmanager
def measuring(model: nn.Module) -> Iterator[None]:
    """Eval mode, no parameter gradients, experts one by one; undone after.

    Eval mode also switches gradient checkpointing off, which would fire hooks twice.
    """
    training = model.training
    wanted = [(p, p.requires_grad) for p in model.parameters()]
    model.eval()
    for parameter, _ in wanted:
        parameter.requires_grad_(False)
    try:
        with opened(model):
            yield
    finally:
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)
        model.train(training)


def observe(model: nn.Module, batch: Batch, kinds: Mapping[str, Kind], choose: Labels) -> None:
    """Add one batch to the sums of all kinds: one forward pass and, where they need it, one backward.

    The parameters are frozen, so gradients begin at the first measured layer's output and no weight's is
    formed. The output head sees the response alone. Without gradients the pass ends at the last layer.

    Args:
        model: in `measuring`.
        batch: padded sequences.
        kinds: the layers' sums, in the order in which the model reaches them.
        choose: the labels of the loss.
    """
    response = Positions(RESPONSE.mask(batch))
    labels = response.in_window(batch.labels)
    where = {kind.name: Positions(kind.used.mask(batch)) for kind in set(map(type, kinds.values()))}
    at = Seen(where, response, Positions(labels != IGNORED))
    backward = any(kind.needs_gradients for kind in kinds.values())
    with _hooked(_hooks(model, kinds, at, backward)), torch.set_grad_enabled(backward):
        try:
            logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits
        except _Enough:
            return
        if backward:
            seen = labels if logits.shape[1] == labels.shape[1] else batch.labels
            summed_loss(logits, choose(logits, seen, batch)).backward()


@dataclass(frozen=True)
class Seen:
    """The positions of one batch: those that each kind uses, the response, and it in the head's window."""

    where: Mapping[str, Positions]
    response: Positions
    window: Positions

    def of(self, kind: Kind, x: Tensor) -> Positions:
        """Return where `kind` looks in x: the head predicts in the response alone, and may see no more."""
        if kind.layer.head:
            return self.window if x.shape[:-1] == self.window.mask.shape else self.response
        return self.where[kind.name]


def _hooks(model: nn.Module, kinds: Mapping[str, Kind], at: Seen, backward: bool) -> list:
    output = model.get_output_embeddings()  # type: ignore[operator]
    handles = [output.register_forward_pre_hook(_response_alone(at.response))] if output is not None else []
    last = list(kinds)[-1] if kinds else None
    for name, kind in kinds.items():
        module = kind.layer.module
        if backward:
            handles.append(module.register_forward_hook(_both(kind, at)))
        else:
            handles.append(module.register_forward_pre_hook(_input_alone(kind, at, name == last)))
    return handles


@contextlib.contextmanager
def _hooked(handles: list) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _response_alone(at: Positions):
    def pre_hook(_module: nn.Module, args: tuple) -> tuple | None:
        x = args[0]
        return (at.in_window(x), *args[1:]) if x.shape[:-1] == at.mask.shape else None

    return pre_hook


def _both(kind: Kind, at: Seen):
    def forward_hook(_module: nn.Module, args: tuple, output: Tensor) -> None:
        view = _view(kind, at, args[0])
        if not output.requires_grad:
            output.requires_grad_(True)
        if view is not None:
            kept = kind.see_input(view.of(args[0].detach()), view.at)
            output.register_hook(lambda g: _see_gradient(kind, kept, view.of(g), view.at))

    return forward_hook


def _input_alone(kind: Kind, at: Seen, last: bool):
    def pre_hook(_module: nn.Module, args: tuple) -> None:
        view = _view(kind, at, args[0])
        if view is not None:
            kind.see_input(view.of(args[0]), view.at)
            kind.felt = kind.tokens
        if last:
            raise _Enough

    return pre_hook


def _see_gradient(kind: Kind, kept: Tensor | None, g: Tensor, at: Positions) -> None:
    kind.see_gradient(kept, g, at)
    if kind.layer.routed:
        kind.felt += int(g.any(-1).sum())


def _view(kind: Kind, at: Seen, x: Tensor) -> Batched | Packing | None:
    """Return what brings a layer's rows into a batch; None where an expert sees none that count."""
    here, routed = at.of(kind, x), kind.layer.routed
    if routed is None:
        return Batched(here, kind.layer.name)
    packing = Packing(here, routed.index)  # type: ignore[arg-type]  (set before its product is called)
    kind.tokens += len(packing)
    return packing if len(packing) else None


@dataclass(frozen=True)
class Batched:
    """Rows of every position, perhaps flattened by the module."""

    at: Positions
    name: str

    def of(self, x: Tensor) -> Tensor:
        """Return x with leading [batch, time].

        Raises:
            StatisticsError: it has more or fewer rows.
        """
        mask = self.at.mask
        if x.dtype == torch.long:
            return x.reshape(mask.shape)
        if x.numel() != mask.numel() * x.shape[-1]:
            raise StatisticsError(
                f"{self.name}: sees {x.numel() // x.shape[-1]} rows of {mask.numel()} positions; experts of "
                "this form are not understood, use a model of transformers' own"
            )
        return x.reshape(*mask.shape, x.shape[-1])
