"""Activation second moments ``A = E[x xᵀ]`` over response tokens: forward passes only.

The statistic of RegMean (Jin et al. 2023, arXiv:2212.09849).
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.statistics.kinds.kind import Extent, Kind
from sst_mergekit.statistics.positions import Positions


class Activation(Kind):
    """The sum of one layer's input factor."""

    name: ClassVar[str] = "activation"
    needs_gradients: ClassVar[bool] = False

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        return self.factor_bytes("input")

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of the mean."""
        return self.factor_shapes("input")

    def work(self, extent: Extent) -> float:
        """Return the operations of the factor."""
        return self.factor_work(extent.tokens, "input")

    def see_input(self, x: Tensor, at: Positions) -> None:
        """Add one batch to the sum."""
        self.add_input(x, at)
