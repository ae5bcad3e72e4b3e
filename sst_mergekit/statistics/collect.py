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
from sst_mergekit.statistics.kinds.kind import Counts, Kind
from sst_mergekit.statistics.labels import sample
from sst_mergekit.statistics.layers import Layer
from sst_mergekit.statistics.observing import Labels, measuring, observe
from sst_mergekit.statistics.passes import choose, part
from sst_mergekit.statistics.pooling import Pools
from sst_mergekit.statistics.settings import Options
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
        shared: expert -> the name of its layer's mean, which it takes; pooled: and why.
    """

    layers: list[Layer]
    means: dict[str, dict[str, Tensor]]
    input_owner: dict[str, str]
    skipped: dict[str, str]
    counts: Counts
    batch_size: int
    passes: int
    shared: dict[str, str] = dataclasses.field(default_factory=dict)
    pooled: dict[str, str] = dataclasses.field(default_factory=dict)

    def of(self, layer: str) -> dict[str, Tensor]:
        """Return a layer's means, a shared input factor in its place."""
        if layer in self.shared:
            return self.means[self.shared[layer]]
        own, shared = self.means[layer], self.means[self.input_owner[layer]]
        return own | {"input": shared["input"]} if "input" in shared else own


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
    with measuring(model):
        chosen = choose(model, sequences, options)
        kinds, by_name = chosen.kinds, {layer.name: layer for layer in chosen.layers}
        used = sum(map(KINDS[options.kind].used.count, sequences))
        counts = Counts(len(sequences), sum(sequence.predicted for sequence in sequences), used)
        passes = None
        if options.team.first:
            passes = part(model, sequences, options, kinds, memory.in_use(options.device))
        passes = options.team.told(passes)
        groups, size = passes.groups, passes.batch_size
        kept, pools = Kept(), Pools(chosen.layers, options.expert_tokens)
        sink = sink or kept
        for number, group in enumerate(groups, 1):
            title = options.kind if len(groups) == 1 else f"{options.kind} {number}/{len(groups)}"
            now = {name: kinds.pop(name) for name in group}
            size = _halving(model, sequences, options, now, size, title)
            for name in group:
                found = now.pop(name)
                found.join(options.team)  # an owner's sums hold those of the layers after it
                if not pools.keeps(found):
                    _finish(by_name[name], found.means(counts), sink)
                for layer, means in pools.done(by_name[name].stack, counts):
                    _finish(layer, means, sink)
            if len(groups) > 1:
                sink.flush()
    found = Collected(
        chosen.layers, kept.means, chosen.input_owner, chosen.skipped, counts, size, len(groups)
    )
    return _with_pools(found, pools)


def _with_pools(found: Collected, pools: Pools) -> Collected:
    """Return the statistics with which experts share a mean, and without those that no token reached."""
    skipped = found.skipped | dict.fromkeys(pools.unreached, "no token that counts reached its experts")
    layers = [layer for layer in found.layers if layer.stack not in pools.unreached]
    owner = {layer.name: found.input_owner[layer.name] for layer in layers}
    told = {name: why for name, why in pools.told().items() if name in owner}
    return dataclasses.replace(
        found, layers=layers, input_owner=owner, skipped=skipped, shared=pools.shared, pooled=told
    )


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
    labels, total = _labels(options), len(options.team.share(sequences))
    with tqdm(total=total, unit="seq", disable=not options.progress, desc=title) as bar:
        for batch in batches(sequences, size, options.device, options.team):
            observe(model, batch, kinds, labels)
            bar.update(len(batch.ids))


def _labels(options: Options) -> Labels:
    """Return what chooses the labels of the loss."""
    if options.labels == "given":
        return lambda _logits, labels, _batch: labels
    return lambda logits, labels, batch: sample(logits, labels != IGNORED, options.seed, batch.numbers)


def _finish(layer: Layer, means: dict[str, Tensor], sink: Sink) -> None:
    for name, tensor in means.items():
        if not (math.isfinite(tensor.sum()) or tensor.isfinite().all()):  # a sum of finite ones may overflow
            raise StatisticsError(
                f"{layer.name}: statistic '{name}' is not finite; measure with --dtype float32 or bfloat16"
            )
    sink.add(layer, means)
