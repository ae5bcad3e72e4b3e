"""The top eigenpairs of a second moment that is never formed: a truncated SVD that takes rows as they come.

The rows seen so far are kept as some fewer rows S with ``SᵀS ~ sum x xᵀ``. When the room below them is full
of new rows, the SVD of both together is cut back (Levy & Lindenbaum 2000; Brand 2002). What is cut off is not
lost: the whole trace is counted, and `top` spreads the difference evenly. Where the rows come in no special
order the error is near that of the best cut; unlike a sum, the outcome depends (little) on that order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sst_mergekit.core import truncated
from sst_mergekit.core.moments import add_second_moment, mirror


def kept_rows(size: int, rank: int) -> int | None:
    """Return how many rows a sketch keeps; None where the dense matrix takes no more room."""
    count = rank + max(8, rank // 4)
    return count if 4 * count < size else None


class Sketch:
    """Rows [2 l, d] of which the first l are what is kept when new ones have filled the others; float32."""

    def __init__(self, size: int, count: int, device: torch.device) -> None:
        self.rows = torch.zeros(2 * count, size, device=device)
        self.filled = 0
        self.trace = 0.0

    def empty(self) -> Sketch:
        """Return one of the same size that has seen nothing."""
        return Sketch(self.rows.shape[1], len(self.rows) // 2, self.rows.device)

    def add(self, rows: Tensor, trace: float | None = None) -> None:
        """Add rows [n, d]; `trace`: what they stand for, where that is more than their squares (a sketch)."""
        squares = rows.to(torch.float32).square().sum(dtype=torch.float64)
        self.trace += float(squares) if trace is None else trace
        while len(rows):
            if self.filled == len(self.rows):
                self._cut()
            part = rows[: len(self.rows) - self.filled]
            self.rows[self.filled : self.filled + len(part)] = part
            self.filled += len(part)
            rows = rows[len(part) :]

    def top(self, rank: int) -> Tensor:
        """Return the top eigenpairs and the isotropic rest as `truncated` keeps them, float32."""
        rows = self.rows[: self.filled]
        values, vectors = self._eigen(rows, rank)
        return truncated.packed(values, rows.T @ (vectors / values.sqrt()).float(), self.trace)

    def _cut(self) -> None:
        count = len(self.rows) // 2
        _, vectors = self._eigen(self.rows, count)
        self.rows[:count] = vectors.T.float() @ self.rows
        self.filled = count

    @staticmethod
    def _eigen(rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the top eigenpairs of ``rows rowsᵀ``, float64: the squares of the rows' singular values."""
        gram = rows.new_zeros(len(rows), len(rows))
        add_second_moment(gram, rows.T)
        values, vectors = torch.linalg.eigh(mirror(gram).double())
        tiny = torch.finfo(torch.float32).tiny
        return values[-count:].clamp(min=tiny), vectors[:, -count:]
