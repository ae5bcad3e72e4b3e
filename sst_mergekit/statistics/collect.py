"""Running a model over data and summing what each linear layer sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sst_mergekit.errors import StatisticsError, is_out_of_memory
from sst_mergekit.statistics import memory
from sst_mergekit.statistics.kinds import KINDS
from sst_mergekit.statistics.kinds.kind import Axes, Counts, Kind
from sst_mergekit.statistics.labels import sample
from sst_mergekit.statistics.layers import Layer, input_groups, linear_layers
from sst_mergekit.statistics.observing import Labels, measuring, observe
from sst_mergekit.statistics.settings import Form, Options
from sst_mergekit.statistics.sizes import shown
from sst_mergekit.statistics.tokens import IGNORED, Sequence, batches


class Sink(Protocol):
    """Takes each layer's means as soon as they are known."""

    def add(self, layer: Layer, means: dict[str, Tensor]) -> None:
        """Take a layer's means."""

    def flush(self) -> None:
        """Hold in memory nothing of what was taken."""


class Kept:
    """A sink that keeps all in memory."""

    def __init__(self) -> None:
        self.means: dict[str, dict[str, Tensor]] = {}

    def add(self, layer: Layer, means: dict[str, Tensor]) -> None:
        """Keep a layer's means."""
        self.means[layer.name] = means

    def flush(self) -> None:
        """Keep them all the same."""


@dataclass(frozen=True)
class Collected:
    """Statistics of all layers.

    Attributes:
        layers: what was measured, in the order in which the model reaches it.
        means: layer -> statistic -> mean; empty where a sink took them.
        input_owner: layer -> the layer whose input factor it shares.
        skipped: weight -> why it was left out.
        counts: how much was measured.
        batch_size, passes: sequences at a time, and how often the data were gone through.
    """

    layers: list[Layer]
    means: dict[str, dict[str, Tensor]]
    input_owner: dict[str, str]
    skipped: dict[str, str]
    counts: Counts
    batch_size: int
    passes: int


def collect(
    model: nn.Module, sequences: list[Sequence], options: Options, sink: Sink | None = None
) -> Collected:
    """Return the statistics of every linear layer of the model, in eval mode, accumulated in float32.

    When memory runs out the pass starts again with half the batch: sums are never half-counted.

    Args:
        model: a causal language model.
        sequences: what it is measured on.
        options: kind, form, bound on memory, ...
        sink: takes each layer's means, which are then not kept.

    Raises:
        StatisticsError: memory runs out even with one sequence, `max_memory` is too little, or a statistic
            is not finite.
    """
    layers, skipped = linear_layers(model)
    first = next(batches(sequences, 1, options.device))
    with measuring(model):
        owner = input_groups(model, layers, {"input_ids": first.ids, "attention_mask": first.attention})
        skipped |= {
            layer.name: "not reached by the forward pass" for layer in layers if layer.name not in owner
        }
        if KINDS[options.kind].needs_axes:
            axes = options.form.axes or {}
            skipped |= dict.fromkeys(owner.keys() - axes, "the patch or basis has no coordinates for it")
            owner = _reowned(owner, axes)
        by_name = {layer.name: layer for layer in layers}
        layers = [by_name[name] for name in owner]  # as the model reaches them
        form = _oriented(options.form, layers)
        kinds = {each.name: KINDS[options.kind](each, owner[each.name] == each.name, form) for each in layers}
        counts = Counts(len(sequences), sum(sequence.predicted for sequence in sequences))
        plan = _plan(model, sequences, options, kinds) if options.team.first else None
        groups, size = options.team.told(plan)
        kept = Kept()
        sink = sink or kept
        for number, group in enumerate(groups, 1):
            title = options.kind if len(groups) == 1 else f"{options.kind} {number}/{len(groups)}"
            chosen = {name: kinds.pop(name) for name in group}
            size = _halving(model, sequences, options, chosen, size, title)
            for name in group:
                found = chosen.pop(name)
                found.join(options.team)
                _finish(by_name[name], found.means(counts), sink)
            if len(groups) > 1:
                sink.flush()
    return Collected(layers, kept.means, owner, skipped, counts, size, len(groups))


def _plan(
    model: nn.Module, sequences: list[Sequence], options: Options, kinds: Mapping[str, Kind]
) -> tuple[list[list[str]], int]:
    """Return the layers of each pass and the batch size with which the bound takes the fewest passes."""
    size = min(options.batch_size, len(sequences))
    if options.max_memory is None:
        return [list(kinds)], size
    held = {name: kind.held(len(sequences)) for name, kind in kinds.items()}
    most = max(held.values())
    resident = memory.in_use(options.device)
    kind = KINDS[options.kind]
    owners = {name: each.layer.module for name, each in kinds.items() if each.owns_input}
    plans, budget = [], 0
    while size:
        batch = next(batches(sequences, size, options.device))
        saved, inputs = memory.batch_bytes(model, batch, owners)
        kept = saved + inputs * kind.keeps_inputs if kind.needs_gradients else saved // 4
        budget = options.max_memory - resident - memory.FIXED - int(memory.SPARE * kept)
        if budget >= most:
            plans.append((memory.grouped(held, budget), size))
        size //= 2
    if not plans:
        raise StatisticsError(
            f"--max-memory {shown(options.max_memory)}: the widest layer needs about "
            f"{shown(options.max_memory - budget + most)} with one sequence a batch; "
            "give more, or --factor-rank, or a shorter --max-length"
        )
    return min(plans, key=lambda plan: len(plan[0]))


def _halving(
    model: nn.Module,
    sequences: list[Sequence],
    options: Options,
    kinds: Mapping[str, Kind],
    size: int,
    title: str,
) -> int:
    """Measure some layers in one pass; return the batch size that went through."""
    while True:
        try:
            _pass(model, sequences, options, kinds, size, title)
            return size
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise StatisticsError(
                    f"out of memory with one sequence of {len(sequences[0].ids)} tokens; "
                    "lower --max-length, give --max-memory, or choose another --device or --dtype"
                ) from None
        size //= 2
        tqdm.write(f"out of memory: starting again with --batch-size {size}")
        for kind in kinds.values():
            kind.forget()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _pass(
    model: nn.Module,
    sequences: list[Sequence],
    options: Options,
    kinds: Mapping[str, Kind],
    size: int,
    title: str,
) -> None:
    choose, total = _labels(options), len(options.team.share(sequences))
    with tqdm(total=total, unit="seq", disable=not options.progress, desc=title) as bar:
        for batch in batches(sequences, size, options.device, options.team):
            observe(model, batch, kinds, choose)
            bar.update(len(batch.ids))


def _oriented(form: Form, layers: list[Layer]) -> Form:
    """Return the form with each layer's axes as its linear map has them."""
    if form.axes is None:
        return form
    axes = {
        layer.name: form.axes[layer.name].of(layer.transposed) for layer in layers if layer.name in form.axes
    }
    return dataclasses.replace(form, axes=axes)


def _reowned(owner: dict[str, str], kept: Mapping[str, Axes]) -> dict[str, str]:
    """Return the owners of shared inputs among the layers of `kept` alone."""
    new: dict[str, str] = {}
    return {name: new.setdefault(old, name) for name, old in owner.items() if name in kept}


def _labels(options: Options) -> Labels:
    """Return what chooses the labels of the loss."""
    if options.labels == "given":
        return lambda _logits, labels, _batch: labels
    return lambda logits, labels, batch: sample(logits, labels != IGNORED, options.seed, batch.numbers)


def _finish(layer: Layer, means: dict[str, Tensor], sink: Sink) -> None:
    for name, tensor in means.items():
        if not math.isfinite(float(tensor.sum(dtype=torch.float64))):
            raise StatisticsError(
                f"{layer.name}: statistic '{name}' is not finite; measure with --dtype float32 or bfloat16"
            )
    sink.add(layer, means)
