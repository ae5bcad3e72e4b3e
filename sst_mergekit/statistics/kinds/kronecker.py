"""Kronecker factors of the Fisher matrix: its two marginals, ``F ~ G (x) A``.

A sequence with inputs X [T, d_in] and output gradients D [T, d_out] has the gradient ``DᵀX``, and
``F = E[vec(DᵀX) vec(DᵀX)ᵀ]``. Its partial traces are ``R = E[Xᵀ (D Dᵀ) X]`` and ``L = E[Dᵀ (X Xᵀ) D]``: the
statistics of Shampoo (Gupta et al. 2018, arXiv:1802.09568), one step of the power iteration to the nearest
Kronecker product (Morwani et al. 2024, arXiv:2406.17748). Stored are A = R and G = L / tr R, so that the
traces of ``G (x) A`` and F are equal. Layers that read the same X (q, k and v; gate and up) have one A, the
sum of theirs. Other forms, by what they take as independent:

- ``token``, the tokens: ``A = E[sum_t |d|² x xᵀ]``, ``G = E[sum_t |x|² d dᵀ] / tr A``.
- ``expand``, x and d too (K-FAC, Martens & Grosse 2015, arXiv:1503.05671): A is a mean over positions and G
  is ``E[sum_t d dᵀ]``. Positions without a gradient then count like all others.
- ``reduce``: each sequence's mean input and summed gradient (Eschenhagen et al. 2023, arXiv:2311.00636).

An embedding's A and the output head's G are kept diagonal: there each id, or token, is a direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from torch import Tensor

from sst_mergekit.core import moments, truncated
from sst_mergekit.core.geometry import trace
from sst_mergekit.statistics.kinds.kind import Counts, Extent, Kind
from sst_mergekit.statistics.positions import Positions

# (which factor, its side [batch, time, d], the other side, positions) -> rows [n, d] of the second moment
Rows = Callable[[str, Tensor, Tensor, Positions], Tensor]


def _reduced(name: str, own: Tensor, other: Tensor, at: Positions) -> Tensor:
    sums = moments.sequence_sums(own, at.mask)
    return sums / at.mask.sum(1, keepdim=True).clamp(min=1) if name == "input" else sums


ROWS: dict[str, Rows] = {
    "sequence": lambda name, own, other, at: moments.gram_rows(own, other),
    "token": lambda name, own, other, at: at.rows(own * other.norm(dim=-1, keepdim=True)),
    "expand": lambda name, own, other, at: at.rows(own),
    "reduce": _reduced,
}


class Kronecker(Kind):
    """Sums of both factors of one layer."""

    name: ClassVar[str] = "kronecker"
    needs_gradients: ClassVar[bool] = True
    keeps_inputs: ClassVar[bool] = True
    shares_inputs: ClassVar[bool] = True
    has_forms: ClassVar[bool] = True
    truncates: ClassVar[bool] = True
    owner: Kronecker  # type: ignore[assignment]
    total: float = 0.0  # the trace of the input factor, once `means` gave it

    @property
    def factors(self) -> str:
        """Return the form of the factors: an embedding's one-hot rows have no reduce form."""
        factors = self.form.factors
        return "expand" if factors == "reduce" and (self.layer.embedding or self.layer.head) else factors

    def held(self, sequences: int) -> int:
        """Return the bytes of the sums."""
        return self.factor_bytes("input", "output")

    def shapes(self, sequences: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the means."""
        return self.factor_shapes("input", "output")

    def work(self, extent: Extent) -> float:
        """Return the operations of both factors; Gram matrices are of a batch's padded sequences too."""
        rows = extent.sequences if self.factors == "reduce" else self.seen(extent)
        grams = 0.0
        if self.factors == "sequence" and not self.layer.embedding:
            rows = extent.tokens if self.layer.head else extent.positions
            grams = 4 * rows * (rows / extent.sequences) * sum(self.layer.shape)
        return grams + self.factor_work(rows, "input", "output")

    def see_input(self, x: Tensor, at: Positions) -> Tensor:
        """Keep the inputs: each factor is weighted by the other side."""
        return x

    def see_gradient(self, kept: Tensor, g: Tensor, at: Positions) -> None:  # type: ignore[override]
        """Add one batch to both factors."""
        if self.layer.embedding:
            self._add_embedding(kept, g, at)
            return
        x, g = kept.float(), g.float()
        if self.owns_input or self._weighted:
            self.owner._add("input", x, g, at)
        self._add("output", g, x, at)

    @property
    def _weighted(self) -> bool:
        """Return whether each factor is weighted by the other side."""
        return self.factors in ("sequence", "token")

    def _adds(self, name: str) -> bool:
        return self._weighted or super()._adds(name)

    def _add(self, name: str, own: Tensor, other: Tensor, at: Positions) -> None:
        size = own.shape[-1]
        if name == "output" and self.layer.head:
            rows = ROWS[self.factors](name, own, other, at)
            self.sum_of(name, size, device=own.device).add_(moments.squares(rows))
        elif self.factors == "sequence" and not self.sketched(size):
            moments.add_marginal(self.sum_of(name, size, size, device=own.device), own, other)
        else:
            self.add_factor(name, ROWS[self.factors](name, own, other, at))

    def _add_embedding(self, ids: Tensor, g: Tensor, at: Positions) -> None:
        """Add a batch of one-hot inputs, whose second moment is diagonal."""
        if self.factors == "sequence":
            ids, rows = moments.gathered(ids, g)
        else:
            ids, rows = at.rows(ids), at.rows(g).float()
        weights = rows.new_ones(len(rows)) if self.factors == "expand" else rows.square().sum(1)
        self.sum_of("input", self.layer.shape[1], device=g.device).index_add_(0, ids, weights)
        self.add_factor("output", rows)

    def count(self, name: str, counts: Counts) -> int:
        """Return over how many a statistic is the mean: of K-FAC's expand form A is one over positions."""
        return self.seen(counts) if name == "input" and self.factors == "expand" else counts.sequences

    def means(self, counts: Counts) -> dict[str, Tensor]:
        """Return ``input`` A and ``output`` G, with the trace of ``G (x) A`` that of the Fisher matrix.

        Of layers that share A its owner comes first.
        """
        means = super().means(counts)
        if self.owns_input:
            self.total = trace("input", means["input"])
        total, output = self.owner.total, means["output"]
        if self._weighted and total > 0:
            short = truncated.is_truncated(output)
            means["output"] = truncated.scaled(output, total, 0.0) if short else output.div_(total)
        return means
