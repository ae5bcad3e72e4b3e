"""Kronecker factors ``A = E[x xᵀ]`` and ``G = E[g gᵀ]`` over response tokens (K-FAC, expand form).

Eschenhagen et al. 2023 (arXiv:2311.00636). An embedding's A and the output head's G are kept
diagonal: token frequencies, and squared gradients per token.
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

    def update(self, seen: Observation) -> None:
        """Add one batch to the sums of both factors."""
        self.add_input(seen)
        rows = seen.g[seen.mask]
        self.add("output", moments.squares(rows) if self.layer.head else moments.second_moment(rows))

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``input`` (where owned) and ``output``: means over response tokens."""
        return {name: total / counts.tokens for name, total in self.sums.items()}
