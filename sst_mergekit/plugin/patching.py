"""One tensor's patch, filtered with the statistics that belong to it."""

from __future__ import annotations

import dataclasses
import zlib
from dataclasses import dataclass

from torch import Tensor

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError
from sst_mergekit.plugin.layer_filter import LayerFilter
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
        layer = self.layer(tensor_name, harm, benign)
        if layer is None:
            return patch.new_zeros(patch.shape)
        return layer.dense(patch.T).T if layer.transposed else layer.dense(patch)

    def layer(self, tensor_name: str, harm: str, benign: str) -> LayerFilter | None:
        """Return the filter of one layer; None where ``on_missing: keep`` drops its patch.

        Raises:
            StatisticsError: no statistics for this tensor, or a filter that the geometry does not offer.
        """
        stores = open_statistics(harm), open_statistics(benign)
        records = stores[0].find(tensor_name), stores[1].find(tensor_name)
        for store, record in zip(stores, records, strict=True):
            if record is None:
                return self._without_statistics(tensor_name, store)
        geometry = GEOMETRIES[self.geometry]
        if self.settings.filter not in geometry.filters:
            allowed = ", ".join(geometry.filters)
            raise StatisticsError(
                f"filter: '{self.settings.filter}' is not offered by geometry '{geometry.name}' ({allowed})"
            )
        return LayerFilter(tensor_name, geometry, self._seeded(tensor_name), stores, records)  # type: ignore[arg-type]

    def _without_statistics(self, tensor_name: str, store: StatisticsStore) -> None:
        if self.on_missing == "keep":
            return
        why = store.manifest.skipped.get(tensor_name, "not a measured linear layer")
        raise StatisticsError(
            f"{tensor_name}: the patch changes it but {store.source} has no statistics for it ({why}); "
            "set 'on_missing: keep' to keep the utility expert's weights there"
        )

    def _seeded(self, tensor_name: str) -> FilterSettings:
        """Return the settings with a seed of this tensor's own, the same in every process."""
        seed = zlib.crc32(f"{self.settings.seed} {tensor_name}".encode())
        return dataclasses.replace(self.settings, seed=seed)
