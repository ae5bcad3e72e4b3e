"""The filter of one layer: the recipe's geometry and numbers with the layer's own statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometry import Geometry, Statistics
from sst_mergekit.core.low_rank import factored
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.errors import StatisticsError, is_out_of_memory
from sst_mergekit.plugin.evidence import Evidence
from sst_mergekit.statistics.shapes import require_shape

Result = TypeVar("Result")


@dataclass(frozen=True)
class LayerFilter:
    """How the patches of one layer are filtered; shapes are those of its linear map, [d_out, d_in].

    Attributes:
        tensor_name: the weight's name in the checkpoint.
        geometry, settings: of the recipe, the seed being this tensor's own.
        harm, benign: what is known of the layer.
        kappa: balance of the layer.
    """

    tensor_name: str
    geometry: Geometry
    settings: FilterSettings
    harm: Evidence
    benign: Evidence
    kappa: float

    @property
    def transposed(self) -> bool:
        """Whether the weight is stored [d_in, d_out]."""
        return self.harm.transposed

    @property
    def keeps_rank(self) -> bool:
        """Whether :meth:`factors` can be asked."""
        return self.settings.filter in self.geometry.factors

    def dense(self, patch: Tensor) -> Tensor:
        """Return the filtered patch [d_out, d_in], in its dtype or float64.

        A patch of low rank (a LoRA that was folded) is filtered as two factors where the filter keeps rank.

        Raises:
            StatisticsError: the statistics are of another shape, or cannot be used.
        """
        if not self.keeps_rank or (found := factored(patch)) is None:
            return self.ask(filter_patch, patch)
        left, right = self.factors(*found)
        wide = torch.promote_types(left.dtype, right.dtype)
        return left.to(wide) @ right.to(wide)

    def ask(self, function: Callable[..., Result], patch: Tensor) -> Result:
        """Return ``function(geometry, patch [d_out, d_in], harm, benign, kappa, settings)``.

        Raises:
            StatisticsError: as for :meth:`dense`.
        """
        return self._run(lambda *sides: function(self.geometry, patch, *sides), patch, tuple(patch.shape))

    def factors(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """Return the filtered patch as factors from left [d_out, r] and right [r, d_in].

        Raises:
            StatisticsError: as for :meth:`dense`.
        """
        function = self.geometry.factors[self.settings.filter]
        shape = left.shape[0], right.shape[1]
        return self._run(lambda *sides: function(left, right, *sides), left, shape)

    def _run(self, function: Callable[..., Result], patch: Tensor, shape: tuple[int, ...]) -> Result:
        for side in (self.harm, self.benign):
            require_shape(self.tensor_name, shape, side.shape, side.transposed, side.origin)
        harm, benign = self._tensors(self.harm, patch), self._tensors(self.benign, patch)
        try:
            return function(harm, benign, self.kappa, self.settings)
        except (ValueError, RuntimeError) as error:  # RuntimeError: torch's, of shapes and decompositions
            if is_out_of_memory(error):
                raise
            said = " ".join(str(error).split())
            raise StatisticsError(
                f"{self.tensor_name}: {said} (statistics: {self.harm.origin}, {self.benign.origin})"
            ) from None

    @staticmethod
    def _tensors(side: Evidence, patch: Tensor) -> Statistics:
        return {name: tensor.to(patch.device) for name, tensor in side.tensors.items()}
