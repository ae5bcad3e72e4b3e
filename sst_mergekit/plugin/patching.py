"""One tensor's patch, filtered with the statistics that belong to it."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import balance
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.core.threshold import Histogram
from sst_mergekit.errors import StatisticsError
from sst_mergekit.plugin.evidence import Evidence, NoStatistics, Source, gather
from sst_mergekit.statistics.store import StatisticsStore, open_statistics


@dataclass(frozen=True)
class PatchFilter:
    """How the patches of one recipe are filtered.

    Attributes:
        geometry: name of the geometry.
        settings: filter and its numbers.
        on_missing: ``error`` or ``keep`` (the utility expert's weights), without statistics.
        balanced: weigh a layer's harm against its benign cost by their shares of the whole model's.
        layer_weight: further weight of this layer's relevance.
        threshold: ``layer`` or ``global``: what the density of ``hard`` is a share of.
    """

    geometry: str
    settings: FilterSettings
    on_missing: str = "error"
    balanced: bool = True
    layer_weight: float = 1.0
    threshold: str = "layer"

    def __call__(self, tensor_name: str, patch: Tensor, harm: Source, benign: Sequence[Source]) -> Tensor:
        """Return the filtered patch, float64; zeros where ``on_missing: keep`` drops it.

        Args:
            tensor_name: the weight's name in the checkpoint.
            patch: as the weight is stored.
            harm: statistics of the patch's own expert.
            benign: statistics of those whose skill it must not cost.

        Raises:
            StatisticsError: no statistics for this tensor, or of another shape or kind.
        """
        if not bool(patch.any()):
            return patch
        geometry = GEOMETRIES[self.geometry]
        try:
            sides = [gather(side, tensor_name, patch.shape, geometry) for side in ([harm], benign)]
        except NoStatistics as missing:
            return self._without_statistics(tensor_name, patch, missing.store)
        return self._apply(tensor_name, patch, *sides, self._threshold(harm, benign))

    def _without_statistics(self, tensor_name: str, patch: Tensor, store: StatisticsStore) -> Tensor:
        if self.on_missing == "keep":
            return patch.new_zeros(patch.shape)
        why = store.manifest.skipped.get(tensor_name, "not a measured linear layer")
        raise StatisticsError(
            f"{tensor_name}: the patch changes it but {store.source} has no statistics for it ({why}); "
            "set 'on_missing: keep' to keep the utility expert's weights there"
        )

    def _apply(
        self, tensor_name: str, patch: Tensor, harm: Evidence, benign: Evidence, threshold: float | None
    ) -> Tensor:
        seed = zlib.crc32(f"{self.settings.seed} {tensor_name}".encode())  # the tensor's own, in any process
        settings = dataclasses.replace(self.settings, seed=seed, threshold=threshold)
        oriented = patch.T if harm.transposed else patch
        try:
            result = filter_patch(
                GEOMETRIES[self.geometry],
                oriented,
                {name: tensor.to(patch.device) for name, tensor in harm.tensors.items()},
                {name: tensor.to(patch.device) for name, tensor in benign.tensors.items()},
                self._kappa(harm, benign),
                settings,
            )
        except ValueError as error:
            raise StatisticsError(
                f"{tensor_name}: {error} (statistics: {harm.origin}, {benign.origin})"
            ) from None
        return result.T if harm.transposed else result

    def _kappa(self, harm: Evidence, benign: Evidence) -> float:
        kappa = balance(harm.share, 1.0, benign.share, 1.0) if self.balanced else 1.0
        return kappa * self.layer_weight

    def _threshold(self, harm: Source, benign: Sequence[Source]) -> float | None:
        if self.threshold == "layer" or self.settings.filter != "hard":
            return None
        bare = dataclasses.replace(self, layer_weight=1.0)
        return _global_threshold(bare, harm, tuple(benign))


@functools.lru_cache(maxsize=64)
def _global_threshold(chosen: PatchFilter, harm: Source, benign: tuple[Source, ...]) -> float:
    """Return the relevance per cost that a `density` share of the directions of all layers reaches.

    One pass over the statistics, a layer at a time; found to within half a percent.
    """
    geometry = GEOMETRIES[chosen.geometry]
    histogram = Histogram()
    for name, record in open_statistics(harm.fisher).manifest.layers.items():
        shape = record.shape[::-1] if record.transposed else record.shape
        try:
            sides = [gather(side, name, shape, geometry) for side in ([harm], benign)]
        except NoStatistics:
            continue
        kappa = chosen._kappa(*sides)
        basis = geometry.basis(sides[0].tensors, sides[1].tensors, kappa, chosen.settings.damping)
        histogram.add(basis.sides, record.shape[0] if geometry.needs == ("input",) else 1)
    return histogram.threshold(chosen.settings.density)
