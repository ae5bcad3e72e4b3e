"""Per-sample scores ``vec(Uᵀ dW V)`` in a patch's own singular coordinates."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Form, Kind, Observation
from sst_mergekit.statistics.layers import Layer


class Subspace(Kind):
    """The scores of one layer, one row a sequence."""

    name: ClassVar[str] = "subspace"
    needs_gradients: ClassVar[bool] = True
    needs_axes: ClassVar[bool] = True
    per_token: ClassVar[bool] = False

    def __init__(self, layer: Layer, owns_input: bool, form: Form) -> None:
        super().__init__(layer, owns_input, form)
        self.rows: list[Tensor] = []

    def update(self, seen: Observation) -> None:
        """Keep the scores of one batch."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        self.rows.append(moments.projected(seen.x, seen.g, axes.left, axes.right).flatten(1))

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``scores`` Z [n, k] with ``ZᵀZ`` the mean over sequences, the axes and the patch's core."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        scores = torch.cat(self.rows) / math.sqrt(counts.sequences)
        core = {} if axes.core is None else {"core": axes.core}
        return super().means(counts) | {"scores": scores, "left": axes.left, "right": axes.right, **core}
