"""What a kind of statistics is: sums over batches for one layer, and how they become means."""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class Kind(ABC):
    """The running sums of one layer; ``update`` with each batch, ``means`` at the end.

    ``owns_input`` is False when an earlier layer reads the same input and keeps its factor.
    """

    name: ClassVar[str]
    needs_gradients: ClassVar[bool]

    def __init__(self, layer: Layer, owns_input: bool) -> None:
        self.layer = layer
        self.owns_input = owns_input
        self.sums: dict[str, Tensor] = {}

    @abstractmethod
    def update(self, seen: Observation) -> None:
        """Add one batch to the sums."""

    @abstractmethod
    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return statistic -> float32 mean; a shared ``input`` only at the layer that owns it."""

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
