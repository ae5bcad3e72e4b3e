"""The rows that one expert sees as a batch: each sequence's behind one another, zeros after them."""

from __future__ import annotations

import torch
from torch import Tensor

from sst_mergekit.statistics.positions import Positions


class Packing:
    """Rows [n, d] of positions of a batch as [batch, most, d].

    Order in a sequence means nothing to statistics, and rows of zeros add nothing to them.

    Args:
        at: the positions that count.
        index: of each row, its position in the batch flattened to [batch * time], ascending.
    """

    def __init__(self, at: Positions, index: Tensor) -> None:
        batch, time = at.mask.shape
        self._rows = at.mask.flatten()[index].nonzero()[:, 0]
        self._sequence = index[self._rows] // time
        counts = torch.bincount(self._sequence, minlength=batch)
        starts = counts.cumsum(0) - counts
        steps = torch.arange(len(self._rows), device=index.device)
        self._place = steps - starts[self._sequence]
        most = int(counts.max())
        self.at = Positions(torch.arange(most, device=index.device) < counts[:, None])

    def __len__(self) -> int:
        """Return how many rows count."""
        return len(self._rows)

    def of(self, x: Tensor) -> Tensor:
        """Return the rows [n, d] as [batch, most, d]."""
        packed = x.new_zeros(*self.at.mask.shape, x.shape[-1])
        packed[self._sequence, self._place] = x[self._rows]
        return packed
