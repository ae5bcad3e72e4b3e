"""Kronecker factors, and the gradients' second moments in a joint basis (EK-FAC).

George et al. 2018 (arXiv:1806.03884). The basis is that of the generalised eigenproblem of harm and benign
Kronecker statistics; both sides are measured in the same one.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Extent
from sst_mergekit.statistics.kinds.kronecker import Kronecker
from sst_mergekit.statistics.positions import Positions


class EkFac(Kronecker):
    """Sums of both factors and of squared per-sequence gradients in the basis."""

    name: ClassVar[str] = "ekfac"
    axes_by: ClassVar[str | None] = "--basis HARM BENIGN"
    whole_axes: ClassVar[bool] = True
    truncates: ClassVar[bool] = False

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        return super().held(sequences) + 4 * self._axes.cells

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the means."""
        left, right = tuple(self._axes.left.shape), tuple(self._axes.right.shape)
        own = {"left": left, "right": right, "corrected": (left[1], right[1])}
        return super().shapes(sequences) | own

    def work(self, extent: Extent) -> float:
        """Return the operations of the factors, of the projections and of each sequence's gradient."""
        own = extent.positions * self._axes.projections + extent.used * self._axes.cells
        return super().work(extent) + 2 * own

    def see_gradient(self, kept: Tensor, g: Tensor, at: Positions) -> None:  # type: ignore[override]
        """Add one batch to both factors and to the second moments in the basis."""
        super().see_gradient(kept, g, at)
        rows, columns = moments.projected(g, self._axes.left), moments.projected(kept, self._axes.right)
        total = self.sum_of("corrected", rows.shape[-1], columns.shape[-1], device=g.device)
        moments.add_squared_gradients(total, columns, rows, at.ends)

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``input``, ``output``, ``corrected``, and the basis ``left``, ``right``."""
        return super().means(counts) | {"left": self._axes.left, "right": self._axes.right}

    @property
    def _axes(self):
        return self.form.axes[self.layer.name]  # type: ignore[index]
