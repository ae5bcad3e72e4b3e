"""What is measured of a model, and in how many passes: the same choice for a measurement and for its plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics import memory
from sst_mergekit.statistics.kinds import KINDS
from sst_mergekit.statistics.kinds.kind import Kind
from sst_mergekit.statistics.layers import Layer, input_groups, linear_layers
from sst_mergekit.statistics.settings import Form, Options
from sst_mergekit.statistics.sizes import shown
from sst_mergekit.statistics.tokens import Sequence, batches

_GLANCE = 8  # tokens that show which layers a model reaches, and which of them share their input


@dataclass(frozen=True)
class Chosen:
    """What is measured of a model.

    Attributes:
        layers: in the order in which the model reaches them.
        input_owner: layer -> the layer whose input factor it shares.
        skipped: weight -> why it was left out.
        kinds: layer -> its sums, empty.
    """

    layers: list[Layer]
    input_owner: dict[str, str]
    skipped: dict[str, str]
    kinds: dict[str, Kind]


@dataclass(frozen=True)
class Passes:
    """The layers of each pass over the data, and the sequences of a batch."""

    groups: list[list[str]]
    batch_size: int


def choose(model: nn.Module, sequences: list[Sequence], options: Options) -> Chosen:
    """Return what is measured, found by a forward pass of the first tokens; in `observing.measuring`."""
    layers, skipped = linear_layers(model)
    first = next(batches(sequences, 1, options.device))
    owner: dict[str, str] = {}
    for length in (_GLANCE, first.ids.shape[1]):  # few tokens may not reach every expert
        if len(owner) < len(layers):
            seen = {"input_ids": first.ids[:, :length], "attention_mask": first.attention[:, :length]}
            owner = input_groups(model, layers, seen)
    skipped |= {layer.name: "not reached by the forward pass" for layer in layers if layer.name not in owner}
    if KINDS[options.kind].axes_by:
        stacks = {layer.stack for layer in layers if layer.routed}
        skipped |= dict.fromkeys(
            stacks, f"kind {options.kind} measures no experts: kronecker, activation, diagonal do"
        )
        axes = options.form.axes or {}
        reached = [layer.name for layer in layers if not layer.routed and layer.name in owner]
        skipped |= dict.fromkeys(set(reached) - axes.keys(), "the patch has no coordinates for it")
        owner = {name: name for name in reached if name in axes}
    elif not KINDS[options.kind].shares_inputs:
        owner = {name: name for name in owner}
    by_name = {layer.name: layer for layer in layers}
    layers = [by_name[name] for name in owner]
    form = _oriented(options.form, layers)
    kind = KINDS[options.kind]
    kinds: dict[str, Kind] = {}
    for each in layers:
        kinds[each.name] = kind(each, kinds.get(owner[each.name]), form)
    return Chosen(layers, owner, skipped, kinds)


def part(
    model: nn.Module,
    sequences: list[Sequence],
    options: Options,
    kinds: Mapping[str, Kind],
    resident: int,
) -> Passes:
    """Return the layers of each pass and the batch size with which the bound takes the fewest passes.

    Args:
        model, sequences, options: as they are measured.
        kinds: of all layers.
        resident: bytes that are held before the first batch.

    Raises:
        StatisticsError: `max_memory` is too little for the widest layer.
    """
    size = min(options.batch_size, len(sequences))
    if options.max_memory is None:
        return Passes([list(kinds)], size)
    together: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        together.setdefault(kind.owner.layer.name, []).append(name)
    held = {own: sum(kinds[name].held(len(sequences)) for name in names) for own, names in together.items()}
    most = max(held.values())
    plans, budget = [], 0
    while size:
        budget = options.max_memory - beside(model, sequences, size, options, kinds, resident)
        if budget >= most:
            groups = memory.grouped(held, budget)
            plans.append(
                Passes([[name for own in group for name in together[own]] for group in groups], size)
            )
        size //= 2
    if not plans:
        raise StatisticsError(
            f"--max-memory {shown(options.max_memory)}: the widest layer needs about "
            f"{shown(options.max_memory - budget + most)} with one sequence a batch; "
            "give more, or --factor-rank, or a shorter --max-length"
        )
    return min(plans, key=lambda plan: len(plan.groups))


def beside(
    model: nn.Module,
    sequences: list[Sequence],
    size: int,
    options: Options,
    kinds: Mapping[str, Kind],
    resident: int,
) -> int:
    """Return the bytes that are taken beside the sums at the peak of a batch of so many sequences.

    Or at the peak of writing, where that is higher: a file's tensors are copied then. The sums of the mean of
    a layer's experts, of both their products, are there all the time.
    """
    kind = KINDS[options.kind]
    batch = next(batches(sequences, 1, options.device))  # a whole batch could take more than the bound
    owners = {name: each.layer.module for name, each in kinds.items() if each.owns_input}
    saved, inputs = memory.batch_bytes(model, batch, owners)
    kept = size * (saved + inputs * kind.keeps_inputs if kind.needs_gradients else saved // 4)
    written = memory.shard(options.max_memory) if options.max_memory else 0
    means = sorted({each.layer.stack: each.held(1) for each in kinds.values() if each.layer.routed}.values())
    return resident + memory.FIXED + max(int(memory.SPARE * kept), written) + sum(means[-2:])


def _oriented(form: Form, layers: list[Layer]) -> Form:
    """Return the form with each layer's axes as its linear map has them."""
    if form.axes is None:
        return form
    axes = {
        layer.name: form.axes[layer.name].of(layer.transposed) for layer in layers if layer.name in form.axes
    }
    return dataclasses.replace(form, axes=axes)
