"""Kronecker factors, and the gradients' second moments in a joint basis (EK-FAC).

George et al. 2018 (arXiv:1806.03884). The basis is that of the generalised eigenproblem of harm and benign
Kronecker statistics; both sides are measured in the same one.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Kind, Observation


class EkFac(Kind):
    """Sums of both factors and of squared per-sequence gradients in the basis."""

    name: ClassVar[str] = "ekfac"
    needs_gradients: ClassVar[bool] = True
    needs_axes: ClassVar[bool] = True

    def update(self, seen: Observation) -> None:
        """Add one batch to the sums."""
        self.add_input(seen)
        self.add_output(seen)
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        self.add("corrected", moments.projected(seen.x, seen.g, axes.left, axes.right).square().sum(0))

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``input`` (where owned), ``output``, ``corrected``, and the basis ``left``, ``right``."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        return super().means(counts) | {"left": axes.left, "right": axes.right}
