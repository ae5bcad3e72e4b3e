"""One tensor's patch, filtered with the statistics that belong to it."""

from __future__ import annotations

import dataclasses
import zlib
from dataclasses import dataclass

from torch import Tensor

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import balance
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.manifest import LayerRecord
from sst_mergekit.statistics.store import StatisticsStore, open_statistics


@dataclass(frozen=True)
class PatchFilter:
    """How the patches of one recipe are filtered: geometry, numbers, and what to do without statistics."""

    geometry: str
    settings: FilterSettings
    on_missing: str

    def __call__(self, tensor_name: str, patch: Tensor, harm: str, benign: str) -> Tensor:
        """Return the filtered patch, float64; zeros where ``on_missing: keep`` drops it.

        Args:
            tensor_name: the weight's name in the checkpoint.
            patch: as the weight is stored.
            harm, benign: where the two statistics are, as written in the recipe.

        Raises:
            StatisticsError: no statistics for this tensor, or of another shape or kind.
        """
        if not bool(patch.any()):
            return patch
        stores = open_statistics(harm), open_statistics(benign)
        records = [store.find(tensor_name) for store in stores]
        for store, record in zip(stores, records, strict=True):
            if record is None:
                return self._without_statistics(tensor_name, patch, store)
        return self._apply(tensor_name, patch, stores, records)  # type: ignore[arg-type]

    def _without_statistics(self, tensor_name: str, patch: Tensor, store: StatisticsStore) -> Tensor:
        if self.on_missing == "keep":
            return patch.new_zeros(patch.shape)
        why = store.manifest.skipped.get(tensor_name, "not a measured linear layer")
        raise StatisticsError(
            f"{tensor_name}: the patch changes it but {store.source} has no statistics for it ({why}); "
            "set 'on_missing: keep' to keep the utility expert's weights there"
        )

    def _apply(
        self,
        tensor_name: str,
        patch: Tensor,
        stores: tuple[StatisticsStore, StatisticsStore],
        records: list[LayerRecord],
    ) -> Tensor:
        geometry = GEOMETRIES[self.geometry]
        if self.settings.filter not in geometry.filters:
            allowed = ", ".join(geometry.filters)
            raise StatisticsError(
                f"filter: '{self.settings.filter}' is not offered by geometry '{geometry.name}' ({allowed})"
            )
        device = str(patch.device)
        read = []
        traces = []
        for store, record in zip(stores, records, strict=True):
            check_shape(tensor_name, patch, store, record)
            traces += [store.trace(record, geometry), store.total_trace(geometry)]
            read.append(store.tensors(record, geometry.needs, device))
        harm, benign = read
        transposed = records[0].transposed
        oriented = patch.T if transposed else patch
        try:
            result = geometry.apply(oriented, harm, benign, balance(*traces), self._seeded(tensor_name))
        except ValueError as error:
            raise StatisticsError(
                f"{tensor_name}: {error} (statistics: {stores[0].source}, {stores[1].source})"
            ) from None
        return result.T if transposed else result

    def _seeded(self, tensor_name: str) -> FilterSettings:
        """Return the settings with a seed of this tensor's own, the same in every process."""
        return dataclasses.replace(self.settings, seed=seed_of(self.settings.seed, tensor_name))


def check_shape(tensor_name: str, tensor: Tensor, store: StatisticsStore, record: LayerRecord) -> None:
    """Raise StatisticsError unless a weight, as it is stored, has the shape of its statistics."""
    stored = record.shape[::-1] if record.transposed else record.shape
    if tuple(tensor.shape) != tuple(stored):
        raise StatisticsError(
            f"{tensor_name}: shape {list(tensor.shape)}, but the statistics in {store.source} are of "
            f"{list(stored)}; they belong to another model or vocabulary"
        )


def seed_of(seed: int, *names: str) -> int:
    """Return a seed of a tensor's own, from the recipe's, the same in every process."""
    return zlib.crc32(" ".join((str(seed), *names)).encode())
