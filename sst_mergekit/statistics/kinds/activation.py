"""Activation second moments ``A = E[x xᵀ]`` over positions: forward passes only.

The statistic of RegMean (Jin et al. 2023, arXiv:2212.09849).
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Extent, Kind
from sst_mergekit.statistics.positions import AFTER_FIRST, Positions, Rule


class Activation(Kind):
    """The sum of one layer's input factor."""

    name: ClassVar[str] = "activation"
    needs_gradients: ClassVar[bool] = False
    shares_inputs: ClassVar[bool] = True
    truncates: ClassVar[bool] = True
    # A second moment of inputs alone knows of no gradient, and the massive activation of a sequence's first
    # token would be nearly all of it.
    used: ClassVar[Rule] = AFTER_FIRST

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        return self.factor_bytes("input")

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shape of the mean."""
        return self.factor_shapes("input")

    def work(self, extent: Extent) -> float:
        """Return the operations of the factor."""
        return self.factor_work(self.seen(extent), "input")

    def see_input(self, x: Tensor, at: Positions) -> None:
        """Add one batch to the sum; an embedding's is diagonal (token counts)."""
        if not self.owns_input:
            return
        rows = at.rows(x)
        if self.layer.embedding:
            size = self.layer.shape[1]
            self.sum_of("input", size, device=x.device).add_(moments.counts(rows, size))
        else:
            self.add_factor("input", rows)

    def count(self, name: str, counts: Counts) -> int:
        """Return how many positions were used."""
        return self.seen(counts)
