"""What a kind of statistics is: sums over batches for one layer, and how they become means."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sst_mergekit.core import moments, truncated
from sst_mergekit.core.geometry import FACTORS
from sst_mergekit.core.sketch import Sketch, kept_rows
from sst_mergekit.statistics.extent import Counts, Extent
from sst_mergekit.statistics.layers import Layer
from sst_mergekit.statistics.positions import ALL, Positions, Rule
from sst_mergekit.statistics.settings import Form
from sst_mergekit.statistics.team import Team


@dataclass(frozen=True)
class Axes:
    """Coordinates in which a layer's gradients are measured.

    Attributes:
        left, right: [d_out, k] and [d_in, l], in columns.
        stored: left and right are of the weight as the checkpoint stores it, perhaps [d_in, d_out].
    """

    left: Tensor
    right: Tensor
    stored: bool = False

    def of(self, transposed: bool) -> Axes:
        """Return the coordinates of the linear map, [d_out, d_in]."""
        if not (self.stored and transposed):
            return self
        return Axes(self.right, self.left)

    @property
    def cells(self) -> int:
        """Return the entries of a gradient in coordinates."""
        return self.left.shape[1] * self.right.shape[1]


class Kind(ABC):
    """The running sums of one layer: each batch's inputs, then its gradients; ``means`` at the end.

    ``owner`` keeps the input factor: itself, or the sums of an earlier layer that reads the same input.
    Every entry of ``sums`` is a plain sum over the data, so that sums over parts of it may be added;
    ``sketches`` of parts are put together by `join`, which is near the sketch of the whole, not equal to it.
    """

    name: ClassVar[str]
    needs_gradients: ClassVar[bool]
    axes_by: ClassVar[str | None] = None  # the flag that names its coordinates, where it has them
    has_forms: ClassVar[bool] = False  # its factors are marginals of one of several things
    truncates: ClassVar[bool] = False  # its factors may be cut to leading eigenpairs
    used: ClassVar[Rule] = ALL  # the positions that count
    keeps_inputs: ClassVar[bool] = False  # from the forward pass to the backward pass
    shares_inputs: ClassVar[bool] = False  # layers that read the same input have one input factor

    def __init__(self, layer: Layer, owner: Kind | None, form: Form) -> None:
        self.layer = layer
        self.owner = owner or self
        self.form = form
        self.sums: dict[str, Tensor] = {}
        self.sketches: dict[str, Sketch] = {}
        self.tokens = self.felt = 0  # of an expert: that reached it, and that its sums feel

    @property
    def owns_input(self) -> bool:
        """Return whether the input factor is kept here."""
        return self.owner is self

    @abstractmethod
    def held(self, sequences: int) -> int:
        """Return the bytes of the sums of so many sequences."""

    @abstractmethod
    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of what `means` returns of so many sequences."""

    @abstractmethod
    def work(self, extent: Extent) -> float:
        """Return the floating-point operations of the matrix products that the sums take."""

    @abstractmethod
    def see_input(self, x: Tensor, at: Positions) -> Tensor | None:
        """Add a batch's inputs to the sums; return what `see_gradient` needs of them.

        Args:
            x: the layer's input [batch, time, d_in], or token ids [batch, time] for an embedding.
            at: the positions that the kind uses.
        """

    def see_gradient(self, kept: Tensor | None, g: Tensor, at: Positions) -> None:  # noqa: B027 (forward alone)
        """Add a batch's gradients to the sums.

        Args:
            kept: what `see_input` returned.
            g: the gradient of the summed loss at the layer's output [batch, time, d_out].
            at: the positions that the kind uses.
        """

    def forget(self) -> None:
        """Drop the sums: the pass over the data begins again."""
        self.sums.clear()
        self.sketches.clear()
        self.tokens = self.felt = 0

    def join(self, team: Team) -> None:
        """Add the sums of the other processes."""
        if self.layer.routed:
            self._see_nothing(self.layer.routed.device)
            self.tokens, self.felt = map(sum, zip(*team.gathered((self.tokens, self.felt)), strict=True))
        team.add(self.sums, self.layer.name)
        for name, sketch in sorted(self.sketches.items()):
            parts = team.gathered((sketch.rows[: sketch.filled].cpu(), sketch.trace))
            if len(parts) > 1:
                self.sketches[name] = whole = sketch.empty()
                for rows, trace in parts:
                    whole.add(rows.to(whole.rows.device), trace)

    def _see_nothing(self, device: torch.device) -> None:
        """Begin the sums of an expert that perhaps no token reached, by a position of zeros."""
        rows, columns = (torch.zeros(1, 1, size, device=device) for size in self.layer.shape)
        nowhere = Positions(torch.zeros(1, 1, dtype=torch.bool, device=device))
        self.see_gradient(self.see_input(columns, nowhere), rows, nowhere)

    def absorb(self, other: Kind) -> None:
        """Add the sums of a layer of the same shape."""
        self.tokens, self.felt = self.tokens + other.tokens, self.felt + other.felt
        for name, each in other.sums.items():
            self.sum_of(name, *each.shape, device=each.device).add_(each)
        for name, sketch in other.sketches.items():
            whole = self.sketches.setdefault(name, sketch.empty())
            whole.add(sketch.rows[: sketch.filled], sketch.trace)

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return statistic -> float32 mean, taking the sums; a shared ``input`` only where it is owned."""
        means = {name: self._mean(name, self.count(name, counts)) for name in list(self.sums)}
        for name in list(self.sketches):
            top = self.sketches.pop(name).top(self.form.factor_rank or 0)
            means[name] = truncated.scaled(top, self.count(name, counts), 0.0)
        return means

    def count(self, name: str, counts: Counts) -> int:
        """Return over how many a statistic is the mean: sequences, unless a kind says otherwise."""
        return counts.sequences

    def seen(self, counts: Counts) -> int:
        """Return at how many positions this layer is used: the output head in the response alone."""
        if self.tokens:
            return self.tokens
        return counts.tokens if self.layer.head else counts.used

    def _mean(self, name: str, count: int) -> Tensor:
        mean = self.sums.pop(name).div_(count)
        if name not in FACTORS or mean.ndim == 1:
            return mean
        mean = moments.mirror(mean)
        return truncated.cut(mean, self.form.factor_rank) if self.form.factor_rank else mean

    def sum_of(self, name: str, *shape: int, device: torch.device) -> Tensor:
        """Return the running sum of that name, zeros at first."""
        if name not in self.sums:
            self.sums[name] = torch.zeros(shape, dtype=torch.float32, device=device)
        return self.sums[name]

    def add_factor(self, name: str, rows: Tensor) -> None:
        """Add ``sum r rᵀ`` of rows [n, d] to a dense factor, or to its sketch where that is smaller."""
        size = rows.shape[1]
        count = self.sketched(size)
        if count is None:
            moments.add_second_moment(self.sum_of(name, size, size, device=rows.device), rows)
            return
        if name not in self.sketches:
            self.sketches[name] = Sketch(size, count, rows.device)
        self.sketches[name].add(rows)

    def factor_bytes(self, *names: str) -> int:
        """Return the bytes of those factors that are this layer's own, while they are summed."""
        return 4 * sum(math.prod(self._summed(name)) for name in names if self._owns(name))

    def factor_shapes(self, *names: str) -> dict[str, tuple[int, ...]]:
        """Return the shapes of their means: diagonal, dense, or truncated where that is smaller."""
        found = {name: self._summed(name) for name in names if self._owns(name)}
        rank = self.form.factor_rank
        if rank is None:
            return found
        return {name: (each[-1], min(each[-1], rank + 1))[: len(each)] for name, each in found.items()}

    def factor_work(self, rows: int, *names: str) -> float:
        """Return the operations of their sums over so many rows: of one triangle, in blocks.

        A sketch of c rows takes, each time c more have come, the products with one another of all 2 c, their
        eigenvectors (9 n³) and the c new rows.
        """
        total = 0.0
        for height, *width in (self._summed(name) for name in names if self._adds(name)):
            if width == [height]:
                total += rows * height * (height + min(height, max(128, height // 8)))
            elif width:
                total += rows * (4.25 * height * width[0] + 18 * height**2)
        return total

    def _summed(self, name: str) -> tuple[int, ...]:
        """Return the shape of what is summed: a diagonal, a matrix, or a sketch's rows."""
        size = self.layer.shape[1 if name == "input" else 0]
        if self.layer.embedding if name == "input" else self.layer.head:
            return (size,)
        count = self.sketched(size)
        return (size if count is None else 2 * count, size)

    def _owns(self, name: str) -> bool:
        return name == "output" or self.owns_input

    def _adds(self, name: str) -> bool:
        return self._owns(name)

    def sketched(self, size: int) -> int | None:
        """Return how many rows the sketch of a factor keeps; None: it is summed whole."""
        return kept_rows(size, self.form.factor_rank) if self.form.factor_rank else None
