"""The diagonal empirical Fisher ``E[(sum_t g_t x_tᵀ) ** 2]`` over sequences, elementwise.

Per-sequence gradients are squared, never the mean of a batch (Kunstner et al. 2019,
arXiv:1905.12558, on what else goes by this name). In the centred form the square of their mean is taken
off: the variance of the gradients.
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
    per_token: ClassVar[bool] = False

    def update(self, seen: Observation) -> None:
        """Add one batch; every position counts, for a prompt's gradients are part of the sequence's."""
        if self.layer.embedding:
            self.add("diagonal", moments.squared_embedding_gradients(seen.x, seen.g, self.layer.shape[1]))
            return
        self.add("diagonal", moments.squared_gradients(seen.x, seen.g))
        if self.form.centred and not self.form.gradient:
            self.add("gradient", moments.gradient(seen.x, seen.g))

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``diagonal`` [d_out, d_in]: the mean over sequences, or the variance."""
        means = super().means(counts)
        if self.form.centred and "gradient" in means:
            means["diagonal"] = (means["diagonal"] - means["gradient"].square()).clamp(min=0)
            if not self.form.gradient:
                del means["gradient"]
        return means
