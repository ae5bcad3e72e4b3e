"""Activation second moments ``A = E[x xᵀ]`` over response tokens: forward passes only.

The statistic of RegMean (Jin et al. 2023, arXiv:2212.09849).
"""

from __future__ import annotations

from typing import ClassVar

from sst_mergekit.statistics.kinds.kind import Kind, Observation


class Activation(Kind):
    """The sum of one layer's input factor."""

    name: ClassVar[str] = "activation"
    needs_gradients: ClassVar[bool] = False

    def update(self, seen: Observation) -> None:
        """Add one batch to the sum."""
        self.add_input(seen)
