"""What statistics foretell of a patch, beside what it does: the price ``½ δᵀ F δ`` and the divergence.

A Fisher matrix is the curvature of the Kullback-Leibler divergence from the model it was measured at, so a
good statistic orders patches as the divergence does. Nothing is tuned for that, and no merge is scored.
Patches of many kinds are tried, so that neither size nor one filter's own view decides: the whole patch and
its single layers, random ones of the same norms, and filtered ones with their shuffled controls.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sst_mergekit.core.geometry import Geometry, Statistics
from sst_mergekit.statistics.positions import RESPONSE
from sst_mergekit.statistics.tokens import Sequence as Tokens
from sst_mergekit.statistics.tokens import batches

Patch = Mapping[str, Tensor]  # weight -> its change [d_out, d_in], float64
RANK = 8  # of random patches
SIZES = (0.5, 1.0, 1.5)  # of whole patches
ALONE = 2.0  # of a single layer's


@dataclass(frozen=True)
class Probe:
    """A patch with the price foretold and the divergence measured, in nats a sequence."""

    name: str
    foretold: float
    measured: float


@dataclass(frozen=True)
class Agreement:
    """How well prices follow divergences over `n` patches.

    Attributes:
        spearman: rank correlation.
        pearson: correlation of the logarithms.
        bias: mean natural logarithm of measured over foretold: 0 where the price is right.
        n: patches.
    """

    spearman: float
    pearson: float
    bias: float
    n: int


def price(geometry: Geometry, statistics: Mapping[str, Statistics], patch: Patch) -> float:
    """Return ``½ sum_layers <D, F D>`` of a patch, undamped, in nats a sequence."""
    return sum(geometry.quadratic(statistics[name], change) for name, change in patch.items()) / 2


def plain(whole: Patch, seed: int = 0) -> Iterator[tuple[str, Patch]]:
    """Yield named patches that no statistic was asked for: whole, by layer, and random of the same norms."""
    generator = torch.Generator().manual_seed(seed)
    for size in SIZES:
        yield f"whole × {size:g}", scaled(whole, size)
        yield (
            f"random × {size:g}",
            {name: size * _random(change, generator) for name, change in whole.items()},
        )
    for name, change in whole.items():
        yield f"{name} alone", {name: ALONE * change}
        yield f"{name} random", {name: ALONE * _random(change, generator)}


def scaled(patch: Patch, size: float) -> dict[str, Tensor]:
    """Return the patch times `size`."""
    return {name: size * change for name, change in patch.items()}


def norm(patch: Patch) -> float:
    """Return the Frobenius norm over all layers."""
    return math.sqrt(sum(float(change.square().sum()) for change in patch.values()))


def at_norm(patch: Patch, wanted: float) -> dict[str, Tensor]:
    """Return the patch scaled to a norm."""
    return scaled(patch, wanted / norm(patch))


def _random(change: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random change of low rank with the norm of another."""
    sides = [torch.randn(size, RANK, generator=generator, dtype=torch.float64) for size in change.shape]
    drawn = sides[0] @ sides[1].T
    return drawn * (change.norm() / drawn.norm())


class Divergence:
    """The mean divergence of a model with a patch from itself, over the responses of sequences.

    Args:
        model: in eval mode; its weights are changed for the time of a call.
        sequences: held out from what statistics were measured on.
        size: sequences a batch.
    """

    def __init__(self, model: Any, sequences: Sequence[Tokens], size: int = 16) -> None:
        self._model, self._count = model, len(sequences)
        self._batches = list(batches(list(sequences), size, str(model.device)))
        self._reference = list(self._logits())

    def __call__(self, patch: Patch) -> float:
        """Return ``KL(model || model + patch)`` in nats a sequence."""
        with patched(self._model, patch):
            pairs = zip(self._reference, self._logits(), strict=True)
            return sum(float((ours.exp() * (ours - theirs)).sum()) for ours, theirs in pairs) / self._count

    def _logits(self) -> Iterator[Tensor]:
        for batch in self._batches:
            with torch.no_grad():
                logits = self._model(
                    input_ids=batch.ids, attention_mask=batch.attention, use_cache=False
                ).logits
            yield logits[RESPONSE.mask(batch)].float().log_softmax(-1)


@contextmanager
def patched(model: nn.Module, patch: Patch) -> Iterator[None]:
    """Add a patch to a model's weights for the time of the block; the same bits come back."""
    weights = {name: model.get_parameter(name) for name in patch}
    before = {name: weight.detach().clone() for name, weight in weights.items()}
    try:
        with torch.no_grad():
            for name, weight in weights.items():
                change = patch[name] if weight.shape == patch[name].shape else patch[name].T
                weight.add_(change.to(weight.device, weight.dtype))
        yield
    finally:
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(before[name])


def agreement(probes: Iterable[Probe]) -> Agreement:
    """Return how well the prices of some patches follow their divergences.

    Raises:
        ValueError: fewer than three patches have both above 0.
    """
    from scipy.stats import pearsonr, spearmanr

    known = [(p.foretold, p.measured) for p in probes if p.foretold > 0 and p.measured > 0]
    if len(known) < 3:
        raise ValueError(f"{len(known)} patches with a price and a divergence above 0; expected at least 3")
    x, y = ([math.log(value) for value in side] for side in zip(*known, strict=True))
    bias = sum(b - a for a, b in zip(x, y, strict=True)) / len(known)
    return Agreement(float(spearmanr(x, y).statistic), float(pearsonr(x, y).statistic), bias, len(known))
