"""Running a model over data and summing what each linear layer sees."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from sst_mergekit.errors import StatisticsError, is_out_of_memory
from sst_mergekit.statistics.kinds import KINDS
from sst_mergekit.statistics.kinds.kind import Axes, Counts, Kind
from sst_mergekit.statistics.labels import sample
from sst_mergekit.statistics.layers import Layer, input_groups, linear_layers
from sst_mergekit.statistics.observing import Labels, measuring, observe
from sst_mergekit.statistics.settings import Form, Options
from sst_mergekit.statistics.tokens import IGNORED, Sequence, batches


@dataclass(frozen=True)
class Collected:
    """Statistics of all layers: means, whose input factor each layer uses, and how much was measured."""

    layers: list[Layer]
    means: dict[str, dict[str, Tensor]]
    input_owner: dict[str, str]
    skipped: dict[str, str]
    counts: Counts
    batch_size: int


def collect(model: nn.Module, sequences: list[Sequence], options: Options) -> Collected:
    """Return the statistics of every linear layer of the model, in eval mode, accumulated in float32.

    When memory runs out the pass starts again with half the batch: sums are never half-counted.

    Raises:
        StatisticsError: memory runs out even with one sequence, or a statistic is not finite.
    """
    size = min(options.batch_size, len(sequences))
    while True:
        try:
            return _collect(model, sequences, options, size)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if size == 1:
                raise StatisticsError(
                    f"out of memory with one sequence of {len(sequences[0].ids)} tokens; "
                    "lower --max-length or choose another --device or --dtype"
                ) from None
        size //= 2
        tqdm.write(f"out of memory: starting again with --batch-size {size}")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _collect(model: nn.Module, sequences: list[Sequence], options: Options, size: int) -> Collected:
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
        kinds: dict[str, Kind] = {
            layer.name: KINDS[options.kind](layer, owner[layer.name] == layer.name, form) for layer in layers
        }
        choose, total = _labels(options), len(options.team.share(sequences))
        with tqdm(total=total, unit="seq", disable=not options.progress, desc=options.kind) as bar:
            for batch in batches(sequences, size, options.device, options.team):
                observe(model, batch, kinds, choose)
                bar.update(len(batch.ids))
    counts = Counts(len(sequences), sum(sequence.predicted for sequence in sequences))
    for layer in layers:
        kinds[layer.name].join(options.team)
    means = {layer.name: kinds[layer.name].means(counts) for layer in layers}
    _require_finite(means)
    return Collected(layers, means, owner, skipped, counts, size)


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


def _require_finite(means: dict[str, dict[str, Tensor]]) -> None:
    for layer, statistics in means.items():
        for name, tensor in statistics.items():
            if not math.isfinite(float(tensor.sum(dtype=torch.float64))):
                raise StatisticsError(
                    f"{layer}: statistic '{name}' is not finite; measure with --dtype float32 or bfloat16"
                )
