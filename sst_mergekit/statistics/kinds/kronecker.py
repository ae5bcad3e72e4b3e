"""Kronecker factors ``A = E[x xᵀ]`` and ``G = E[g gᵀ]`` over response tokens (K-FAC, expand form).

Eschenhagen et al. 2023 (arXiv:2311.00636). Their reduce form, for weights that a sequence shares, takes one
row a sequence: the mean of its inputs and the sum of its gradients. An embedding's A and the output head's
G are kept diagonal: token frequencies, and squared gradients per token.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Extent, Kind
from sst_mergekit.statistics.positions import Positions


class Kronecker(Kind):
    """Sums of both factors of one layer."""

    name: ClassVar[str] = "kronecker"
    needs_gradients: ClassVar[bool] = True

    @property
    def reduced(self) -> bool:
        """Return whether this layer is measured in the reduce form: diagonal factors never are."""
        return self.form.reduced and not (self.layer.embedding or self.layer.head)

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        return self.factor_bytes("input", "output") + self.gradient_bytes()

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the means."""
        return self.factor_shapes("input", "output") | self.gradient_shape()

    def work(self, extent: Extent) -> float:
        """Return the operations of both factors."""
        rows = extent.sequences if self.reduced else extent.tokens
        return self.factor_work(rows, "input", "output") + self.gradient_work(extent)

    def see_input(self, x: Tensor, at: Positions) -> Tensor | None:
        """Add one batch to the input factor."""
        if not self.reduced:
            self.add_input(x, at)
        elif self.owns_input:
            mean = moments.sequence_sums(x, at.mask) / at.mask.sum(1, keepdim=True).clamp(min=1)
            self.add_factor("input", mean)
        return x if self.wants_gradient else None

    def see_gradient(self, kept: Tensor | None, g: Tensor, at: Positions) -> None:
        """Add one batch to the output factor."""
        if self.reduced:
            self.add_factor("output", moments.sequence_sums(g, at.mask))
        else:
            self.add_output(g, at)
        if kept is not None:
            self.add_gradient(kept, g)

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``input`` (where owned) and ``output``: means over response tokens, or over sequences."""
        if self.reduced:
            counts = Counts(counts.sequences, counts.sequences)
        return super().means(counts)
