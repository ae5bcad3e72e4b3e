"""Kronecker factors ``A = E[x xᵀ]`` and ``G = E[g gᵀ]`` over response tokens (K-FAC, expand form).

Eschenhagen et al. 2023 (arXiv:2311.00636). Their reduce form, for weights that a sequence shares, takes one
row a sequence: the mean of its inputs and the sum of its gradients. An embedding's A and the output head's
G are kept diagonal: token frequencies, and squared gradients per token.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Kind, Observation


class Kronecker(Kind):
    """Sums of both factors of one layer."""

    name: ClassVar[str] = "kronecker"
    needs_gradients: ClassVar[bool] = True

    @property
    def reduced(self) -> bool:
        """Return whether this layer is measured in the reduce form: diagonal factors never are."""
        return self.form.reduced and not (self.layer.embedding or self.layer.head)

    def update(self, seen: Observation) -> None:
        """Add one batch to the sums of both factors."""
        if not self.reduced:
            self.add_input(seen)
            self.add_output(seen)
            return
        x, g = moments.reduced(seen.x, seen.g, seen.mask)
        if self.owns_input:
            self.add("input", moments.second_moment(x))
        self.add("output", moments.second_moment(g))

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``input`` (where owned) and ``output``: means over response tokens, or over sequences."""
        count = counts.sequences if self.reduced else counts.tokens
        return {name: total / count for name, total in self.sums.items()}
