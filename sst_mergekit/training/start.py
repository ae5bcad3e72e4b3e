"""Where a refit starts: the safety patch of each layer as factors, filtered if statistics are given."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sst_mergekit.adapters.deltas import deltas
from sst_mergekit.adapters.pair import Pair, approximated
from sst_mergekit.core.settings import GEOMETRY, FilterSettings
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin import coverage
from sst_mergekit.plugin.evidence import Source
from sst_mergekit.plugin.patching import PatchFilter
from sst_mergekit.training.refit_settings import Start


def factors(start: Start, layers: Mapping[str, bool]) -> dict[str, Pair]:
    """Return the patch of each layer that it changes, as ``left @ right`` [d_out, d_in] in float64.

    Args:
        start: patch and filter.
        layers: weight's name in the checkpoint -> whether it is stored [d_in, d_out].

    Raises:
        RecipeError: models cannot be read, or the patch changes none of the layers.
        StatisticsError: statistics are missing or of another model.
    """
    apply = PatchFilter(GEOMETRY, FilterSettings(cost=start.cost))
    found: dict[str, Pair] = {}
    for name, patch, stored in deltas(start.base, start.expert, vectors=True):
        if name not in layers:
            coverage.note(name, coverage.KEPT, patch)
            continue
        coverage.note(name, coverage.FILTERED if start.fisher else coverage.WHOLE, patch)
        turned = stored and layers[name]
        dense = (patch.T if turned else patch).to(torch.float64)
        if start.fisher is not None:
            harm, benign = (Source(fisher) for fisher in start.fisher)
            layer = apply.layer(name, harm, (benign,))
            dense = dense if layer is None else layer.dense(dense)
        found[name] = _cut(dense, start.rank).scaled(start.strength)
    if not found:
        raise RecipeError(f"{start.expert}: changes no linear layer of '{start.base}'; nothing to refit")
    return found


def _cut(dense: Tensor, rank: int) -> Pair:
    """Return the best approximation of `dense`, without directions that hold nothing."""
    pair = approximated(dense, min(rank, *dense.shape))
    sizes = pair.left.norm(dim=0) * pair.right.norm(dim=1)
    kept = sizes > sizes.max() * torch.finfo(torch.float32).eps
    return Pair(pair.left[:, kept], pair.right[kept])
