"""What statistics foretell of a patch, beside what it does: the price ``½ δᵀ F δ`` and the divergence.

A Fisher matrix is the curvature of the Kullback-Leibler divergence from the model it was measured at, so a
good statistic orders patches as the divergence does. Nothing is tuned for that, and no merge is scored.
Patches of many kinds are tried, so that neither size nor one filter's own view decides: the whole patch and
its single layers, random ones of the same norms, and filtered ones with their shuffled controls. A statistic
looks too good on patches that others filtered and too bad on its own, whose price it made small; so those of
every statistic that is compared are tried on all of them.

Both sides of a filter are measured so. What a patch costs of benign skill is the divergence of the utility
expert with the patch, on benign rows. What a filter loses of refusals, ``½ δᵀ F_h δ`` of the part that it
takes away, is the divergence of the safety expert without that part, on harm rows: the same
:class:`Divergence`, given :func:`taken_away`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometry import Geometry, Statistics, balance, trace
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.forms import bare_name
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.positions import RESPONSE
from sst_mergekit.statistics.tokens import Sequence as Tokens
from sst_mergekit.statistics.tokens import batches

Patch = Mapping[str, Tensor]  # weight -> its change [d_out, d_in], float64
RANK = 8  # of random patches
SIZES = (0.5, 1.0, 1.5)  # of whole patches
ALONE = 2.0  # of a single layer's
COSTS = (0.03, 0.3, 1.0)
FILTERS = ("separable", "shuffled")
NORMS = (0.5, 1.0)  # of filtered patches, in norms of the whole one


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


@dataclass(frozen=True)
class Pair:
    """Statistics of both sides, layer -> statistics, and the geometry that reads them."""

    geometry: Geometry
    harm: Mapping[str, Statistics]
    benign: Mapping[str, Statistics]


def price(geometry: Geometry, statistics: Mapping[str, Statistics], patch: Patch) -> float:
    """Return ``½ sum_layers <D, F D>`` of a patch, undamped, in nats a sequence."""
    return sum(geometry.quadratic(statistics[name], change) for name, change in patch.items()) / 2


def plain(whole: Patch, seed: int = 0, most: int | None = None) -> Iterator[tuple[str, Patch]]:
    """Yield named patches that no statistic was asked for: whole, by layer, and random of the same norms.

    Args:
        whole: the patch.
        seed: of the random ones.
        most: layers that are tried alone, evenly over all of them; None: each.
    """
    generator = torch.Generator().manual_seed(seed)
    for size in SIZES:
        yield f"whole × {size:g}", scaled(whole, size)
        yield (
            f"random × {size:g}",
            {name: size * _random(change, generator) for name, change in whole.items()},
        )
    step = 1 if most is None else math.ceil(len(whole) / most)
    for name, change in list(whole.items())[::step]:
        yield f"{name} alone", {name: ALONE * change}
        yield f"{name} random", {name: ALONE * _random(change, generator)}


def filtered(
    whole: Patch,
    pairs: Mapping[str, Pair],
    filters: Sequence[str] = FILTERS,
    costs: Sequence[float] = COSTS,
    norms: Sequence[float] = NORMS,
    harm: bool = False,
) -> Iterator[tuple[str, Patch]]:
    """Yield named patches as each of the statistics filters them, at the whole patch's norm times each size.

    Args:
        whole: the patch, with statistics for each of its layers in every pair.
        pairs: by name, all statistics that are compared.
        filters, costs: settings of the filter.
        norms: sizes.
        harm: yield what the filter takes away, negated, instead of what it keeps.
    """
    size = norm(whole)
    for name, pair in pairs.items():
        kappas = _balances(pair, whole)
        for chosen in filters:
            for cost in costs:
                kept = {
                    layer: filter_patch(
                        pair.geometry,
                        change.to(torch.float64),
                        pair.harm[layer],
                        pair.benign[layer],
                        kappas[layer],
                        FilterSettings(filter=chosen, cost=cost, seed=number),
                    )
                    for number, (layer, change) in enumerate(whole.items())
                }
                shown = taken_away(whole, kept) if harm else kept
                for wanted in norms:
                    yield f"{name}, {chosen}, cost {cost:g} × {wanted:g}", at_norm(shown, wanted * size)


def _balances(pair: Pair, whole: Patch) -> dict[str, float]:
    """Return each layer's balance, as in a merge with ``balance: global``."""
    sides = [
        {name: _trace(pair.geometry, side[name], change) for name, change in whole.items()}
        for side in (pair.harm, pair.benign)
    ]
    totals = [sum(side.values()) for side in sides]
    return {name: balance(sides[0][name], totals[0], sides[1][name], totals[1]) for name in whole}


def _trace(geometry: Geometry, side: Statistics, change: Tensor) -> float:
    d_out, d_in = change.shape
    return geometry.trace({name: trace(name, side[name]) for name in geometry.traced}, (d_out, d_in))


def taken_away(whole: Patch, kept: Patch) -> dict[str, Tensor]:
    """Return the change of the safety expert that leaves of the whole patch what is kept: kept − whole."""
    return {name: kept[name] - change if name in kept else -change for name, change in whole.items()}


def scaled(patch: Patch, size: float) -> dict[str, Tensor]:
    """Return the patch times `size`."""
    return {name: size * change for name, change in patch.items()}


def norm(patch: Patch) -> float:
    """Return the Frobenius norm over all layers."""
    return math.sqrt(sum(float(change.square().sum()) for change in patch.values()))


def at_norm(patch: Patch, wanted: float) -> dict[str, Tensor]:
    """Return the patch scaled to a norm; zeros stay zeros."""
    return scaled(patch, wanted / (norm(patch) or 1.0))


def _random(change: Tensor, generator: torch.Generator) -> Tensor:
    """Return a random change of low rank with the norm of another."""
    sides = [torch.randn(size, RANK, generator=generator, dtype=torch.float64) for size in change.shape]
    drawn = (sides[0] @ sides[1].T).to(change.dtype)
    return drawn * (change.norm() / drawn.norm())


class Divergence:
    """The mean divergence of a model with a patch from itself, over the responses of sequences.

    Args:
        model: in eval mode, perhaps with an adapter; its weights are changed for the time of a call.
        sequences: held out from what statistics were measured on.
        size: sequences a batch.
    """

    def __init__(self, model: Any, sequences: Sequence[Tokens], size: int = 16) -> None:
        self._model, self._count = model, len(sequences)
        self._batches = list(batches(list(sequences), size, str(model.device)))
        self._reference = list(self._logits(model))

    def __call__(self, patch: Patch) -> float:
        """Return ``KL(model || model + patch)`` in nats a sequence."""
        with patched(self._model, patch):
            return self.of(self._model)

    def of(self, other: Any) -> float:
        """Return ``KL(model || other)`` of another model in eval mode, in nats a sequence."""
        pairs = zip(self._reference, self._logits(other), strict=True)
        return sum(_divergence(*pair) for pair in pairs) / self._count

    def _logits(self, model: Any) -> Iterator[Tensor]:
        for batch in self._batches:
            with torch.no_grad():
                logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits
            yield logits[RESPONSE.mask(batch)]


def _divergence(ours: Tensor, theirs: Tensor) -> float:
    """Return the summed divergence of logits [n, vocabulary]; in float64, as small ones are differences."""
    first, other = (logits.double().log_softmax(-1) for logits in (ours, theirs))
    return float((first.exp() * (first - other)).sum())


@contextmanager
def patched(model: nn.Module, patch: Patch) -> Iterator[None]:
    """Add a patch to a model's weights for the time of the block; the same bits come back.

    Raises:
        StatisticsError: a change is of no linear layer of the model, or of another shape.
    """
    layers = {bare_name(layer.name): layer for layer in linear_layers(model)[0]}
    found = [(layers.get(bare_name(name)), name, change) for name, change in patch.items()]
    before: list[tuple[Tensor, Tensor]] = []
    try:
        with torch.no_grad():
            for layer, name, change in found:
                if layer is None or tuple(change.shape) != layer.shape:
                    raise StatisticsError(f"{name}: no linear layer of {list(change.shape)} in the model")
                weight = layer.module.weight
                before.append((weight, weight.detach().clone()))  # type: ignore
                weight.add_((change.T if layer.transposed else change).to(weight.device, weight.dtype))  # type: ignore
        yield
    finally:
        with torch.no_grad():
            for weight, old in before:
                weight.copy_(old)


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
    return Agreement(float(spearmanr(x, y).statistic), float(pearsonr(x, y).statistic), bias, len(known))  # type: ignore
