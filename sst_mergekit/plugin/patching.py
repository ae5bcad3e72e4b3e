"""One tensor's patch, filtered with the statistics that belong to it."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import balance
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError
from sst_mergekit.plugin.evidence import NoStatistics, Side, Source, gather, opened
from sst_mergekit.plugin.layer_filter import LayerFilter
from sst_mergekit.statistics.store import StatisticsStore, open_statistics, require_one_form


@dataclass(frozen=True)
class PatchFilter:
    """How the patches of one recipe are filtered.

    Attributes:
        geometry: name of the geometry.
        settings: filter and its numbers.
        on_missing: without statistics: ``error``, ``keep`` (the utility expert's weights) or ``add`` (the
            patch whole). With ``error`` too, what text does not reach is kept.
        balanced: weigh a layer's harm against its benign cost by their shares of the whole model's.
        layer_weight: further weight of this layer's relevance.
    """

    geometry: str
    settings: FilterSettings
    on_missing: str = "error"
    balanced: bool = True
    layer_weight: float = 1.0

    @classmethod
    def of(cls, shared: Mapping[str, Any]) -> PatchFilter:
        """Return the filter of a recipe's shared parameters, as mergekit has found them for one weight."""
        names = ("filter", "cost", "density", "damping", "seed")
        return cls(
            shared["geometry"],
            FilterSettings(**{name: shared[name] for name in names}),
            shared["on_missing"],
            shared["balance"] == "global",
            float(shared["layer_weight"]),
        )

    def __call__(self, tensor_name: str, patch: Tensor, harm: Source, benign: Side) -> Tensor | None:
        """Return the filtered patch, in its dtype or float64; without statistics as `on_missing` says.

        ``keep``: None; ``add``: the patch itself.

        Args:
            tensor_name: the weight's name in the checkpoint.
            patch: as the weight is stored; not zero.
            harm: statistics of the patch's own expert.
            benign: statistics of those whose skill it must not cost.

        Raises:
            StatisticsError: no statistics for this tensor, or of another shape or kind.
        """
        if patch.ndim == 3 and (names := open_statistics(harm.fisher).slices(tensor_name)):
            return self._stacked(tensor_name, names, patch, harm, benign)
        layer = self.layer(tensor_name, harm, benign)
        if layer is None:
            return patch if self.on_missing == "add" else None
        return layer.dense(patch.T).T if layer.transposed else layer.dense(patch)

    def _stacked(
        self, tensor_name: str, names: list[str], patch: Tensor, harm: Source, benign: Side
    ) -> Tensor | None:
        """Return the patch [E, ...] of a stack of experts, each filtered by its own statistics.

        None where `on_missing` drops that of every expert.
        """
        if len(names) != len(patch):
            raise StatisticsError(
                f"{tensor_name}: {len(patch)} experts, but the statistics in {harm.fisher} are of "
                f"{len(names)}; they belong to another model"
            )
        whole, found = torch.zeros_like(patch), False
        for name, change, into in zip(names, patch, whole, strict=True):
            kept = self(name, change, harm, benign) if change.any() else None
            if kept is not None:
                into.copy_(kept)
                found = True
        return whole if found else None

    def layer(self, tensor_name: str, harm: Source, benign: Side) -> LayerFilter | None:
        """Return the filter of one layer; None without statistics, where `on_missing` allows it.

        Raises:
            StatisticsError: no statistics for this tensor, of another kind, or of different forms.
        """
        geometry = GEOMETRIES[self.geometry]
        require_one_form(opened((harm,), benign))
        try:
            ours, theirs = (gather(side, tensor_name, geometry) for side in ((harm,), benign))
        except NoStatistics as missing:
            return self._without_statistics(tensor_name, missing.store)
        kappa = balance(ours.share, 1.0, theirs.share, 1.0) if self.balanced else 1.0
        settings = dataclasses.replace(self.settings, seed=seed_of(self.settings.seed, tensor_name))
        return LayerFilter(tensor_name, geometry, settings, ours, theirs, kappa * self.layer_weight)

    def _without_statistics(self, tensor_name: str, store: StatisticsStore) -> None:
        if self.on_missing != "error" or store.follows_utility(tensor_name):
            return
        raise StatisticsError(
            f"{tensor_name}: the patch changes it but {store.source} has no statistics for it "
            f"({store.why_not(tensor_name)}); "
            "set 'on_missing: add' to add the patch whole, or 'keep' to keep the utility expert's weights"
        )


def seed_of(seed: int, *names: str) -> int:
    """Return a seed of a tensor's own, from the recipe's, the same in every process."""
    return zlib.crc32(" ".join((str(seed), *names)).encode())
