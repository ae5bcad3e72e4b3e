"""What is known of one weight by one side of the merge: statistics of one expert, or of several pooled."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import FACTORS, Geometry
from sst_mergekit.core.pooling import pool
from sst_mergekit.core.truncated import is_truncated
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.store import StatisticsStore, open_statistics


@dataclass(frozen=True)
class Source:
    """Statistics of one expert, as the recipe names them, and how much they count."""

    fisher: str
    weight: float = 1.0


@dataclass(frozen=True)
class Evidence:
    """Statistics of one weight.

    Attributes:
        tensors: statistic -> tensor.
        share: the layer's share of the whole Fisher matrix's trace.
        shape: (d_out, d_in) of the linear map.
        transposed: the weight is stored [d_in, d_out].
        origin: where it comes from, for messages.
    """

    tensors: dict[str, Tensor]
    share: float
    shape: tuple[int, int]
    transposed: bool
    origin: str


class NoStatistics(Exception):  # noqa: N818 (no error yet: `on_missing` decides)
    """A store holds nothing of this weight."""

    def __init__(self, store: StatisticsStore) -> None:
        super().__init__(store.source)
        self.store = store


@dataclass(frozen=True)
class AllBut:
    """All experts but one: what prices its patch where experts are of equal standing."""

    sources: tuple[Source, ...]
    left_out: Source

    @property
    def rest(self) -> tuple[Source, ...]:
        """Return the sources that are not left out."""
        return tuple(source for source in self.sources if source != self.left_out)


Side = tuple[Source, ...] | AllBut


def opened(*sides: Side) -> tuple[StatisticsStore, ...]:
    """Return the stores of all sources, new objects where files have changed: fit for a cache's key."""
    sources = [s for side in sides for s in (side.sources if isinstance(side, AllBut) else side)]
    return tuple(open_statistics(source.fisher) for source in sources)


def gather(side: Side, name: str, geometry: Geometry) -> Evidence:
    """Return what the experts of a side know of weight `name`, pooled by their weights.

    Several experts' Fisher matrices are summed (see `core.pooling`), and their shares are averaged. The sum
    over all experts but one is the sum over all less that one's, so that a merge of many experts reads each
    one's statistics three times, not once for every other.

    Args:
        side: at least one source with a weight above 0; those of weight 0 are left out.
        name: of the weight in the checkpoint.
        geometry: says which statistics are needed.

    Raises:
        NoStatistics: one source knows nothing of the weight.
        StatisticsError: statistics of unlike shapes, of another kind or basis.
    """
    if isinstance(side, AllBut):
        if side.left_out.weight > 0 and sum(s.weight > 0 for s in side.sources) > 3 and geometry.additive:
            return _all_but(side, name, geometry)
        side = side.rest
    used = [source for source in side if source.weight > 0]
    if not used:
        raise StatisticsError(f"{name}: every expert's weight is 0, so nothing prices the patch; raise one")
    if len(used) == 1:
        return _one(used[0], name, geometry)
    total = sum(source.weight for source in used)
    found = [(source.weight / total, _one(source, name, geometry)) for source in used]
    first = found[0][1]
    for _, each in found:
        if each.shape != first.shape:
            raise StatisticsError(
                f"{name}: {list(first.shape)} in {first.origin}, {list(each.shape)} in {each.origin}; "
                "these experts are of different models"
            )
    return Evidence(
        tensors=_pool(name, [(weight, each.tensors) for weight, each in found]),
        share=sum(weight * each.share for weight, each in found),
        shape=first.shape,
        transposed=first.transposed,
        origin=" and ".join(each.origin for _, each in found),
    )


def _all_but(side: AllBut, name: str, geometry: Geometry) -> Evidence:
    """Return the pooled statistics of all but one, by subtraction; truncated, the sum of the others."""
    own = _one(side.left_out, name, geometry)
    if any(is_truncated(tensor) for key, tensor in own.tensors.items() if key in FACTORS):
        return gather(side.rest, name, geometry)
    used = tuple(source for source in side.sources if source.weight > 0)
    total = _all(used, opened(used), name, geometry.name)
    weight = sum(source.weight for source in used)
    left = side.left_out.weight
    alone = _pool(name, [(1.0, own.tensors)])
    return Evidence(
        tensors={
            key: (weight * tensor - left * alone[key]) / (weight - left)
            for key, tensor in total.tensors.items()
        },
        share=(weight * total.share - left * own.share) / (weight - left),
        shape=total.shape,
        transposed=total.transposed,
        origin=f"all experts but {own.origin}",
    )


@functools.lru_cache(maxsize=1)
def _all(used: tuple[Source, ...], stores: tuple[StatisticsStore, ...], name: str, geometry: str) -> Evidence:
    """Return the pooled statistics of all experts; kept for the one weight that is being merged."""
    return gather(used, name, GEOMETRIES[geometry])


def _pool(name: str, found: Sequence[tuple[float, dict[str, Tensor]]]) -> dict[str, Tensor]:
    try:
        return pool(found)
    except ValueError as error:
        raise StatisticsError(f"{name}: {error}") from None


def _one(source: Source, name: str, geometry: Geometry) -> Evidence:
    store = open_statistics(source.fisher)
    record = store.find(name)
    if record is None:
        raise NoStatistics(store)
    share = store.trace(record, geometry) / (store.total_trace(geometry) or 1.0)
    return Evidence(
        store.tensors(record, geometry.needs), share, record.shape, record.transposed, store.source
    )
