"""Per-sample scores ``vec(Uᵀ dW V)`` in a patch's own singular coordinates."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.kinds.kind import Counts, Extent, Form, Kind
from sst_mergekit.statistics.layers import Layer
from sst_mergekit.statistics.positions import Positions
from sst_mergekit.statistics.team import Team


class Subspace(Kind):
    """The scores of one layer, one row a sequence."""

    name: ClassVar[str] = "subspace"
    needs_gradients: ClassVar[bool] = True
    axes_by: ClassVar[str | None] = "--patch BASE EXPERT"

    def __init__(self, layer: Layer, owner: Kind | None, form: Form) -> None:
        super().__init__(layer, owner, form)
        self.rows: list[Tensor] = []

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        return 4 * sequences * axes.cells

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the means."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        left, right = tuple(axes.left.shape), tuple(axes.right.shape)
        return {"scores": (sequences, left[1] * right[1]), "left": left, "right": right}

    def work(self, extent: Extent) -> float:
        """Return the operations of the projections and of the scores."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        return 2 * extent.positions * (axes.left.numel() + axes.right.numel() + axes.cells)

    def see_input(self, x: Tensor, at: Positions) -> Tensor:
        """Keep the inputs in coordinates [batch, time, l]; token ids choose rows."""
        right = self.form.axes[self.layer.name].right  # type: ignore[index]
        return right.to(x.device, torch.float32)[x] if self.layer.embedding else moments.projected(x, right)

    def see_gradient(self, kept: Tensor, g: Tensor, at: Positions) -> None:  # type: ignore[override]
        """Keep the scores of one batch."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        rows = moments.projected(g, axes.left)
        self.rows.append((rows.transpose(1, 2) @ kept).flatten(1))

    def forget(self) -> None:
        """Drop the scores: the pass over the data begins again."""
        super().forget()
        self.rows.clear()

    def join(self, team: Team) -> None:
        """Take the other processes' scores too."""
        super().join(team)
        self.rows = [team.woven(torch.cat(self.rows))]

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``scores`` Z [n, k] with ``ZᵀZ`` the mean over sequences, and the axes."""
        axes = self.form.axes[self.layer.name]  # type: ignore[index]
        scores = torch.cat(self.rows) / math.sqrt(counts.sequences)
        return super().means(counts) | {"scores": scores, "left": axes.left, "right": axes.right}
