"""The filter of one layer: the recipe's geometry and numbers with the layer's own statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from sst_mergekit.core.geometry import Geometry, balance
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.manifest import LayerRecord
from sst_mergekit.statistics.store import StatisticsStore

Result = TypeVar("Result")


@dataclass(frozen=True)
class LayerFilter:
    """How the patches of one layer are filtered; shapes are those of its linear map, [d_out, d_in].

    Attributes:
        tensor_name: the weight's name in the checkpoint.
        geometry, settings: of the recipe, the seed being this tensor's own.
        stores: the statistics of harm and of benign skill.
        records: the layer's in each.
    """

    tensor_name: str
    geometry: Geometry
    settings: FilterSettings
    stores: tuple[StatisticsStore, StatisticsStore]
    records: tuple[LayerRecord, LayerRecord]

    @property
    def transposed(self) -> bool:
        """Whether the weight is stored [d_in, d_out]."""
        return self.records[0].transposed

    @property
    def keeps_rank(self) -> bool:
        """Whether :meth:`factors` can be asked."""
        return self.settings.filter in self.geometry.keeps_rank

    def dense(self, patch: Tensor) -> Tensor:
        """Return the filtered patch [d_out, d_in], float64.

        Raises:
            StatisticsError: the statistics are of another shape or kind, or damaged.
        """
        return self._run(self.geometry.apply, (patch,), tuple(patch.shape))

    def factors(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the filtered patch as factors, float64, from left [d_out, r] and right [r, d_in].

        Raises:
            StatisticsError: as for :meth:`dense`.
        """
        assert self.geometry.factors is not None
        return self._run(self.geometry.factors, (left, right), (left.shape[0], right.shape[1]))

    def _run(self, function: Callable[..., Result], patch: tuple[Tensor, ...], shape: tuple) -> Result:
        device = str(patch[0].device)
        read = []
        traces = []
        for store, record in zip(self.stores, self.records, strict=True):
            if shape != tuple(record.shape):
                got, known = (s[::-1] if record.transposed else s for s in (shape, record.shape))
                raise StatisticsError(
                    f"{self.tensor_name}: shape {list(got)}, but the statistics in {store.source} are of "
                    f"{list(known)}; they belong to another model or vocabulary"
                )
            traces += [store.trace(record, self.geometry), store.total_trace(self.geometry)]
            read.append(store.tensors(record, self.geometry.needs, device))
        try:
            return function(*patch, *read, balance(*traces), self.settings)
        except ValueError as error:
            sources = f"{self.stores[0].source}, {self.stores[1].source}"
            raise StatisticsError(f"{self.tensor_name}: {error} (statistics: {sources})") from None
