"""The diagonal empirical Fisher ``E[(sum_t g_t x_tᵀ) ** 2]`` over sequences, elementwise.

Per-sequence gradients are squared, never the mean of a batch (Kunstner et al. 2019,
arXiv:1905.12558, on what else goes by this name).
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Kind, Observation


class Diagonal(Kind):
    """The sum of squared per-sequence gradients of one layer's weight."""

    name: ClassVar[str] = "diagonal"
    needs_gradients: ClassVar[bool] = True

    def update(self, seen: Observation) -> None:
        """Add one batch; every position counts, for a prompt's gradients are part of the sequence's."""
        if self.layer.embedding:
            batch_sum = moments.squared_embedding_gradients(seen.x, seen.g, self.layer.shape[1])
        else:
            batch_sum = moments.squared_gradients(seen.x, seen.g)
        self.add("diagonal", batch_sum)

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``diagonal`` [d_out, d_in]: the mean over sequences."""
        return {name: total / counts.sequences for name, total in self.sums.items()}
