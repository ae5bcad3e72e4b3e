"""Kronecker factors, and the gradients' second moments in a joint basis (EK-FAC).

George et al. 2018 (arXiv:1806.03884). The basis is that of the generalised eigenproblem of harm and benign
Kronecker statistics; both sides are measured in the same one.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Extent, Kind
from sst_mergekit.statistics.positions import Positions


class EkFac(Kind):
    """Sums of both factors and of squared per-sequence gradients in the basis."""

    name: ClassVar[str] = "ekfac"
    needs_gradients: ClassVar[bool] = True
    keeps_inputs: ClassVar[bool] = True
    needs_axes: ClassVar[bool] = True

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        size = self.factor_bytes("input", "output")
        return size + 4 * axes.cells + self.gradient_bytes()

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the means."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        both = {"left": tuple(axes.left.shape), "right": tuple(axes.right.shape)}
        both |= self.factor_shapes("input", "output")
        return both | {"corrected": (axes.left.shape[1], axes.right.shape[1])} | self.gradient_shape()

    def work(self, extent: Extent) -> float:
        """Return the operations of the factors, of the projections and of each sequence's gradient."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        factors = self.factor_work(extent.tokens, "input", "output") + self.gradient_work(extent)
        return factors + 2 * (extent.positions * axes.projections + extent.reached * axes.cells)

    def see_input(self, x: Tensor, at: Positions) -> Tensor:
        """Add one batch to the input factor; keep the inputs for the gradients."""
        self.add_input(x, at)
        return x

    def see_gradient(self, kept: Tensor, g: Tensor, at: Positions) -> None:  # type: ignore[override]
        """Add one batch to the output factor and to the second moments in the basis."""
        self.add_output(g, at)
        self.add_gradient(kept, g)
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        rows, columns = moments.projected(g, axes.left), moments.projected(kept, axes.right)
        total = self.sum_of("corrected", rows.shape[-1], columns.shape[-1], device=g.device)
        moments.add_squared_gradients(total, columns, rows, at.ends)

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``input`` (where owned), ``output``, ``corrected``, and the basis ``left``, ``right``."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        return super().means(counts) | {"left": axes.left, "right": axes.right}
