"""The diagonal empirical Fisher ``E[(sum_t g_t x_tᵀ) ** 2]`` over sequences, elementwise.

Per-sequence gradients are squared, never the mean of a batch (Kunstner et al. 2019,
arXiv:1905.12558, on what else goes by this name).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Extent, Kind
from sst_mergekit.statistics.positions import Positions


class Diagonal(Kind):
    """The sum of squared per-sequence gradients of one layer's weight."""

    name: ClassVar[str] = "diagonal"
    needs_gradients: ClassVar[bool] = True
    keeps_inputs: ClassVar[bool] = True

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        return 4 * self.layer.shape[0] * self.layer.shape[1]

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the means."""
        return {"diagonal": self.layer.shape}

    def work(self, extent: Extent) -> float:
        """Return the operations of each sequence's gradient; an embedding's is a sum of rows."""
        d_out, d_in = self.layer.shape
        return 2 * self.seen(extent) * d_out * d_in * (not self.layer.embedding)

    def see_input(self, x: Tensor, at: Positions) -> Tensor:
        """Keep the inputs: every position counts, for a prompt's gradients are part of the sequence's."""
        return x

    def see_gradient(self, kept: Tensor, g: Tensor, at: Positions) -> None:  # type: ignore[override]
        """Add one batch to the sums."""
        d_out, d_in = self.layer.shape
        if self.layer.embedding:
            if "diagonal" not in self.sums:
                self.sums["diagonal"] = torch.zeros(d_in, d_out, device=g.device).T
            moments.add_squared_embedding_gradients(self.sums["diagonal"], kept, g)
            return
        total = self.sum_of("diagonal", d_out, d_in, device=g.device)
        moments.add_squared_gradients(total, kept, g, at.ends)
