"""The exact Fisher over all layers at once: one problem in the coordinates of the whole patch.

A merge sees one tensor at a time. The ``subspace`` statistics of a layer are small (scores and the patch's
core), so those of all layers are read once, the joint problem is solved in dual form, and each tensor takes
its part of the solution.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from sst_mergekit.core.geometries.subspace import shrink
from sst_mergekit.core.geometry import mean_eigenvalue
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError
from sst_mergekit.plugin.evidence import Source, opened
from sst_mergekit.statistics.manifest import LayerRecord
from sst_mergekit.statistics.store import StatisticsStore, open_statistics

NAME = "subspace_model"
NEEDS = ("left", "right", "scores", "core")
FILTERS = ("separable", "soft")


@dataclass(frozen=True)
class Solution:
    """The filtered cores of all layers [k], by the layers' names, with the cores they came from."""

    kept: dict[str, Tensor]
    cores: dict[str, Tensor]


def filter_model_wide(
    name: str, patch: Tensor, harm: Source, benign: tuple[Source, ...], settings: FilterSettings
) -> Tensor | None:
    """Return one weight's part of the patch filtered model-wide, as stored, float64; None without statistics.

    Args:
        name: of the weight in the checkpoint.
        patch: as stored; the one that the statistics were measured for.
        harm, benign: ``subspace`` statistics in the same patch's coordinates.
        settings: cost and damping; the filter is `soft`, on one side.

    Raises:
        StatisticsError: statistics of another kind, shape or patch.
    """
    if settings.filter not in FILTERS:
        raise StatisticsError(
            f"filter: '{settings.filter}' is not offered by geometry '{NAME}' ({', '.join(FILTERS)})"
        )
    store = open_statistics(harm.fisher)
    record = store.find(name)
    if record is None:
        return None
    stores = opened((harm,), benign)
    solution = _solve(harm, benign, stores, settings.cost, settings.damping)
    key = _key(store, record)
    if key not in solution.kept:
        return None
    tensors = store.tensors(record, ("left", "right"))
    left, right = (tensors[side].to(patch.device, torch.float64) for side in ("left", "right"))
    oriented = (patch.T if record.transposed else patch).to(torch.float64)
    if tuple(oriented.shape) != tuple(record.shape):
        raise StatisticsError(f"{name}: shape {list(patch.shape)}, but {harm.fisher} is of another model")
    core = (left.T @ oriented @ right).flatten()
    known = solution.cores[key].to(core)
    if float((core - known).norm()) > 1e-3 * float(known.norm()):
        raise StatisticsError(
            f"{name}: {harm.fisher} was measured for another patch; measure again with --patch of this recipe"
        )
    kept = solution.kept[key].to(patch.device).view(left.shape[1], right.shape[1])
    result = left @ kept @ right.T
    return result.T if record.transposed else result


@functools.lru_cache(maxsize=32)
def _solve(
    harm: Source, benign: tuple[Source, ...], stores: tuple[StatisticsStore, ...], cost: float, damping: float
) -> Solution:
    """Return the solution for all layers that both sides have statistics of."""
    ours, *others = stores
    pairs = zip(benign, others, strict=True)
    theirs = [(source.weight, store) for source, store in pairs if source.weight > 0]
    if not theirs:
        raise StatisticsError("every expert's weight is 0, so nothing prices the patch; raise one")
    records = [
        record
        for name, record in ours.manifest.layers.items()
        if all(store.find(name) is not None for _, store in theirs)
    ]
    relevance = _scores(ours, records)
    priced = [weight**0.5 * _unit(_scores(store, _same(ours, store, records))) for weight, store in theirs]
    cores = {_key(ours, r): ours.tensors(r, ("core",))["core"].to(torch.float64) for r in records}
    whole = torch.cat(list(cores.values()))
    kept = shrink(whole, _unit(relevance), _unit(torch.cat(priced)), cost, damping)
    parts = kept.split([len(core) for core in cores.values()])
    return Solution(dict(zip(cores, parts, strict=True)), cores)


def _scores(store: StatisticsStore, records: list[LayerRecord]) -> Tensor:
    """Return the scores of all layers side by side, [n, K]."""
    if not records:
        raise StatisticsError(f"{store.source}: shares no layer with the other statistics")
    return torch.cat([store.tensors(r, ("scores",))["scores"].to(torch.float64) for r in records], dim=1)


def _same(ours: StatisticsStore, other: StatisticsStore, records: list[LayerRecord]) -> list[LayerRecord]:
    """Return the other store's records of the same layers, in the same coordinates."""
    found = []
    for name, record in ours.manifest.layers.items():
        if record not in records:
            continue
        match = other.find(name)
        assert match is not None
        sides = ours.tensors(record, ("left", "right")), other.tensors(match, ("left", "right"))
        if any(sides[0][n].shape != t.shape or not torch.equal(sides[0][n], t) for n, t in sides[1].items()):
            raise StatisticsError(
                f"{name}: {ours.source} and {other.source} were measured for different patches; "
                "measure both with one --patch"
            )
        found.append(match)
    return found


def _unit(scores: Tensor) -> Tensor:
    mean = mean_eigenvalue("scores", scores)
    if not mean > 0:
        raise StatisticsError("the scores are all zero; measure the statistics on other data")
    return scores / mean**0.5


def _key(store: StatisticsStore, record: LayerRecord) -> str:
    """Return the name by which a store's tensors of a layer are known."""
    return record.tensors.get("core") or record.tensors["scores"]
