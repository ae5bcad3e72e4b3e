"""What a kind of statistics is: sums over batches for one layer, and how they become means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments
from sst_mergekit.statistics.layers import Layer


@dataclass(frozen=True)
class Observation:
    """What one batch shows of one layer.

    Attributes:
        x: the layer's input [batch, time, d_in], or token ids [batch, time] for an embedding.
        g: the gradient of the summed loss at its output [batch, time, d_out]; empty when the
            kind needs no gradients.
        mask: True at the positions that predict a response token [batch, time].
    """

    x: Tensor
    g: Tensor
    mask: Tensor


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


@dataclass(frozen=True)
class Form:
    """How a kind is measured.

    Attributes:
        reduced: Kronecker factors of each sequence's mean input and summed gradient (K-FAC reduce).
        centred: the diagonal of the gradients' covariance, not of their second moment.
        gradient: the mean gradient as well, for the first-order term of score ``gain``.
        axes: layer -> coordinates, for the kinds that need them; layers without are left out.
    """

    reduced: bool = False
    centred: bool = False
    gradient: bool = False
    axes: Mapping[str, Axes] | None = None


class Kind(ABC):
    """The running sums of one layer; ``observe`` each batch, ``means`` at the end.

    ``owns_input`` is False when an earlier layer reads the same input and keeps its factor.
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

    def observe(self, seen: Observation) -> None:
        """Add one batch to the sums."""
        self.update(seen)
        if self.form.gradient and not self.layer.embedding:
            self.add("gradient", moments.gradient(seen.x, seen.g))

    @abstractmethod
    def update(self, seen: Observation) -> None:
        """Add one batch to the sums that the kind is made of."""

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return statistic -> float32 mean; a shared ``input`` only at the layer that owns it."""
        count = counts.tokens if self.per_token else counts.sequences
        return {name: total / count for name, total in self.sums.items()}

    def add(self, name: str, batch_sum: Tensor) -> None:
        """Add a batch's sum to a running sum."""
        if name in self.sums:
            self.sums[name] += batch_sum
        else:
            self.sums[name] = batch_sum

    def add_input(self, seen: Observation) -> None:
        """Add ``sum x xᵀ`` over response tokens; an embedding's is diagonal (token counts)."""
        if not self.owns_input:
            return
        rows = seen.x[seen.mask]
        if self.layer.embedding:
            self.add("input", moments.counts(rows, self.layer.shape[1]))
        else:
            self.add("input", moments.second_moment(rows))

    def add_output(self, seen: Observation) -> None:
        """Add ``sum g gᵀ`` over response tokens; the output head's is diagonal."""
        rows = seen.g[seen.mask]
        self.add("output", moments.squares(rows) if self.layer.head else moments.second_moment(rows))
