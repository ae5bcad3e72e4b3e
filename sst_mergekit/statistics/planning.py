"""What a measurement would take, from the model's config alone: ``sst-mergekit fisher --plan``.

The model is made of tensors without data (on the meta device, then torch's FakeTensorMode, which takes the
CPU's roads), and then goes through the very code that chooses layers and passes for a measurement.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence as Sequence_
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import fake_tensor

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics import memory
from sst_mergekit.statistics.estimate import require_form
from sst_mergekit.statistics.kinds import KINDS
from sst_mergekit.statistics.kinds.kind import Axes, Extent, Kind
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.loading import load_shapes, require_device
from sst_mergekit.statistics.observing import measuring
from sst_mergekit.statistics.passes import Chosen, beside, choose, part
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.sequences import read_sequences
from sst_mergekit.statistics.settings import ModelSpec, Options
from sst_mergekit.statistics.sizes import shown
from sst_mergekit.statistics.speed import Speed, measured, model_work
from sst_mergekit.statistics.tokens import Sequence, batches
from sst_mergekit.statistics.writer import kept_as

UNSEEN = (
    fake_tensor.DataDependentOutputException,
    fake_tensor.DynamicOutputShapeException,
    fake_tensor.UnsupportedFakeTensorException,
)


@dataclass(frozen=True)
class Plan:
    """What a measurement would take.

    Attributes:
        kind: of the statistics.
        layers, skipped: how many are measured, and which weights are not: name -> why.
        extent: of the data.
        batch_size, steps: sequences a step, and steps a pass.
        layers_a_pass: how many layers each pass over the data measures.
        max_memory: the bound in bytes, or None.
        weights, peak_memory, disk: bytes of the model, of all at the peak (an estimate), of what is written.
        model_flop, sums_flop: floating-point operations of all passes in the model and in the sums of the
            statistics: matrix products and attention.
        speed: of either.
    """

    kind: str
    layers: int
    skipped: dict[str, str]
    extent: Extent
    batch_size: int
    steps: int
    layers_a_pass: list[int]
    max_memory: int | None
    weights: int
    peak_memory: int
    disk: int
    model_flop: float
    sums_flop: float
    speed: Speed

    @property
    def passes(self) -> int:
        """Return how often the data are gone through."""
        return len(self.layers_a_pass)

    @property
    def seconds(self) -> float:
        """Return the seconds of all passes, computed."""
        return self.speed.seconds(self.model_flop, self.sums_flop)

    def facts(self) -> dict[str, Any]:
        """Return it as plain data, with what follows from it."""
        own = dataclasses.asdict(self) | {"passes": self.passes, "seconds": self.seconds}
        return own | {"step_seconds": self.seconds / (self.steps * self.passes)}

    def text(self) -> str:
        """Return it as people read it."""
        bound = f" within {shown(self.max_memory)}" if self.max_memory else ""
        step, data = self.facts()["step_seconds"], self.extent
        lines = [
            f"{self.kind} statistics of {self.layers} layers; {len(self.skipped)} weights are left out",
            f"data: {data.sequences} sequences, {data.tokens} response tokens, {data.positions} positions",
            f"passes: {self.passes}{bound}, each of {self.steps} steps, batches of {self.batch_size}",
            f"memory: about {shown(self.peak_memory)} at the peak, {shown(self.weights)} of it the model",
            f"disk: {shown(self.disk)}",
            f"work: {self.model_flop:.3g} FLOP in the model, {self.sums_flop:.3g} FLOP in float32 sums",
            f"time: {step:.3g} s a step, {self.seconds:.3g} s in all, {self.speed.text()}",
        ]
        return "\n".join(lines)


def plan(
    spec: ModelSpec,
    source: Source | Sequence_[Source] | None,
    options: Options,
    samples: int = 512,
    max_length: int = 1024,
    chat_template: bool | None = None,
    patch_rank: int = 16,
    store_dtype: str = "float32",
    speed: Speed | None = None,
) -> Plan:
    """Return what `estimate` of the same arguments would take; no weights are read.

    Args:
        spec, source, options, samples, max_length, chat_template, store_dtype: as of `estimate`. Without a
            source: `samples` sequences of `max_length` tokens, of which the second half is the response.
        patch_rank: for kind ``subspace``, directions of the patch, which is taken to have so many in every
            linear layer between embedding and output head.
        speed: None to measure it.

    Raises:
        DataError, StatisticsError, SstError: as `estimate`; or the model's computation depends on data.
    """
    require_form(options)
    if source is None:
        sequences = [Sequence((0,) * max_length, max_length // 2)] * samples
    else:
        sequences = read_sequences(spec, source, samples, options.seed, max_length, chat_template).sequences
    if speed is None:
        require_device(spec.device)
        speed = measured(spec.dtype, spec.device)
    shapes = load_shapes(spec)  # not in the mode, in which Gemma 3 cannot be made
    try:
        with fake_tensor.FakeTensorMode():
            model = without_data(shapes)
            with measuring(model):
                return _foreseen(model, sequences, _placed(model, options, patch_rank), store_dtype, speed)
    except UNSEEN as error:
        raise StatisticsError(
            f"{spec.model}: what it computes depends on its data ({type(error).__name__}); "
            "--plan cannot foresee it, measure a few --samples instead"
        ) from None


def without_data(model: Any) -> Any:
    """Return the model with its tensors replaced by ones without data on the CPU, in FakeTensorMode.

    Weights that are tied stay so.
    """
    new: dict[int, Tensor] = {}
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, old in held.items():
                if old is not None and id(old) not in new:
                    empty = torch.empty(old.shape, dtype=old.dtype, device="cpu")
                    new[id(old)] = nn.Parameter(empty) if held is module._parameters else empty
                held[name] = None if old is None else new[id(old)]
    return model


def _foreseen(
    model: nn.Module, sequences: list[Sequence], options: Options, store_dtype: str, speed: Speed
) -> Plan:
    """Return the plan of a model without data; such tensors are the CPU's, wherever the real ones will be."""
    weights = memory.weights(model)
    resident = weights + (0 if options.device.startswith("cuda") else memory.in_use(options.device))
    options = dataclasses.replace(options, device="cpu")
    chosen = choose(model, sequences, options)
    passes = part(model, sequences, options, chosen.kinds, resident)
    size = passes.batch_size
    sums = (sum(chosen.kinds[name].held(len(sequences)) for name in group) for group in passes.groups)
    extent, gradients = _extent(sequences, size, options.kind), KINDS[options.kind].needs_gradients
    return Plan(
        kind=options.kind,
        layers=len(chosen.layers),
        skipped=chosen.skipped,
        extent=extent,
        batch_size=size,
        steps=math.ceil(len(sequences) / size),
        layers_a_pass=[len(group) for group in passes.groups],
        max_memory=options.max_memory,
        weights=weights,
        peak_memory=beside(model, sequences, size, options, chosen.kinds, resident) + max(sums),
        disk=_disk(chosen, len(sequences), getattr(torch, store_dtype)),
        model_flop=len(passes.groups) * _pass_work(model, sequences, extent, size, gradients),
        sums_flop=sum(kind.work(seen(kind, extent)) for kind in chosen.kinds.values()),
        speed=speed,
    )


def seen(kind: Kind, extent: Extent) -> Extent:
    """Return what of the data a layer sees: an expert its share."""
    routed = kind.layer.routed
    return extent if routed is None else extent.sent(routed.share)


def _placed(model: nn.Module, options: Options, patch_rank: int) -> Options:
    """Return the options with coordinates without data, where the kind needs them."""
    if not KINDS[options.kind].axes_by:
        return options
    axes = {}
    for layer in linear_layers(model)[0]:
        if not (layer.embedding or layer.head):
            left, right = (torch.empty(side, min(patch_rank, *layer.shape)) for side in layer.shape)
            axes[layer.name] = Axes(left, right)
    return dataclasses.replace(options, form=dataclasses.replace(options.form, axes=axes))


def _extent(sequences: list[Sequence], size: int, kind: str) -> Extent:
    positions = sum(batch.ids.numel() for batch in batches(sequences, size, "cpu"))
    reached = sum(len(sequence.ids) - 1 for sequence in sequences)
    tokens = sum(sequence.predicted for sequence in sequences)
    return Extent(len(sequences), tokens, sum(map(KINDS[kind].used.count, sequences)), positions, reached)


def _pass_work(
    model: nn.Module, sequences: list[Sequence], extent: Extent, size: int, backward: bool
) -> float:
    """Return the operations of the model in one pass, from those of the first batch, the longest."""
    batch = next(batches(sequences, size, "cpu"))
    response = max(sequences[number].predicted for number in batch.numbers)
    return model_work(model, batch, response, backward) * extent.positions / batch.ids.numel()


def _disk(chosen: Chosen, sequences: int, dtype: torch.dtype) -> int:
    shapes = [named for kind in chosen.kinds.values() for named in kind.shapes(sequences).items()]
    return sum(kept_as(name, dtype).itemsize * math.prod(shape) for name, shape in shapes)
