"""What a kind of statistics is: sums over batches for one layer, and how they become means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.core.geometry import FACTORS
from sst_mergekit.statistics.layers import Layer
from sst_mergekit.statistics.positions import Positions
from sst_mergekit.statistics.settings import Form
from sst_mergekit.statistics.team import Team


@dataclass(frozen=True)
class Counts:
    """How much was measured: sequences and response tokens."""

    sequences: int
    tokens: int


@dataclass(frozen=True)
class Axes:
    """Coordinates in which a layer's gradients are measured.

    Attributes:
        left, right: [d_out, k] and [d_in, l], in columns.
        core: a patch in these coordinates [k * l], kept beside the statistics.
        stored: left and right are of the weight as the checkpoint stores it, perhaps [d_in, d_out].
    """

    left: Tensor
    right: Tensor
    core: Tensor | None = None
    stored: bool = False

    def of(self, transposed: bool) -> Axes:
        """Return the coordinates of the linear map, [d_out, d_in]."""
        if not (self.stored and transposed):
            return self
        sizes = self.left.shape[1], self.right.shape[1]
        core = None if self.core is None else self.core.view(sizes).T.flatten()
        return Axes(self.right, self.left, core)


class Kind(ABC):
    """The running sums of one layer: each batch's inputs, then its gradients; ``means`` at the end.

    ``owns_input`` is False when an earlier layer reads the same input and keeps its factor. Every entry of
    ``sums`` is a plain sum over the data, so that sums over parts of it may be added.
    """

    name: ClassVar[str]
    needs_gradients: ClassVar[bool]
    needs_axes: ClassVar[bool] = False
    per_token: ClassVar[bool] = True  # means are over response tokens, else over sequences

    def __init__(self, layer: Layer, owns_input: bool, form: Form) -> None:
        self.layer = layer
        self.owns_input = owns_input
        self.form = form
        self.sums: dict[str, Tensor] = {}

    @abstractmethod
    def see_input(self, x: Tensor, at: Positions) -> Tensor | None:
        """Add a batch's inputs to the sums; return what `see_gradient` needs of them.

        Args:
            x: the layer's input [batch, time, d_in], or token ids [batch, time] for an embedding.
            at: where response tokens are predicted.
        """

    def see_gradient(self, kept: Tensor | None, g: Tensor, at: Positions) -> None:  # noqa: B027 (forward alone)
        """Add a batch's gradients to the sums.

        Args:
            kept: what `see_input` returned.
            g: the gradient of the summed loss at the layer's output [batch, time, d_out].
            at: where response tokens are predicted.
        """

    def join(self, team: Team) -> None:
        """Add the sums of the other processes."""
        team.add(self.sums, self.layer.name)

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return statistic -> float32 mean, taking the sums; a shared ``input`` only where it is owned."""
        count = counts.tokens if self.per_token else counts.sequences
        return {name: self.take(name).div_(count) for name in list(self.sums)}

    def take(self, name: str) -> Tensor:
        """Return a sum, which is not kept any longer."""
        total = self.sums.pop(name)
        return moments.mirror(total) if name in FACTORS and total.ndim == 2 else total

    def sum_of(self, name: str, *shape: int, device: torch.device) -> Tensor:
        """Return the running sum of that name, zeros at first."""
        if name not in self.sums:
            self.sums[name] = torch.zeros(shape, dtype=torch.float32, device=device)
        return self.sums[name]

    def add_input(self, x: Tensor, at: Positions) -> None:
        """Add ``sum x xᵀ`` over response tokens; an embedding's is diagonal (token counts)."""
        if not self.owns_input:
            return
        rows, size = at.rows(x), self.layer.shape[1]
        if self.layer.embedding:
            self.sum_of("input", size, device=x.device).add_(moments.counts(rows, size))
        else:
            moments.add_second_moment(self.sum_of("input", size, size, device=x.device), rows)

    def add_output(self, g: Tensor, at: Positions) -> None:
        """Add ``sum g gᵀ`` over response tokens; the output head's is diagonal."""
        rows, size = at.rows(g), self.layer.shape[0]
        if self.layer.head:
            self.sum_of("output", size, device=g.device).add_(moments.squares(rows))
        else:
            moments.add_second_moment(self.sum_of("output", size, size, device=g.device), rows)

    def add_gradient(self, x: Tensor, g: Tensor) -> None:
        """Add the gradient of the weight itself, where the form wants it."""
        if self.wants_gradient:
            moments.add_gradient(self.sum_of("gradient", *self.layer.shape, device=g.device), x, g)

    @property
    def wants_gradient(self) -> bool:
        """Return whether the mean gradient is measured here: of linear layers, on demand."""
        return self.form.gradient and not self.layer.embedding
