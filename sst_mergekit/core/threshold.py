"""One threshold for many layers: a histogram of log rho, so that no layer's directions need be kept."""

from __future__ import annotations

import torch
from torch import Tensor

_LOWEST, _HIGHEST, _BINS = -14.0, 14.0, 1 << 14  # powers of ten; a bin is 0.4 % wide
_ROWS = 1 << 22  # directions formed at a time


class Histogram:
    """Counts of directions by their relevance per cost."""

    def __init__(self) -> None:
        self.counts = torch.zeros(_BINS, dtype=torch.float64)

    def add(self, sides: tuple[Tensor, ...], times: int = 1) -> None:
        """Add every direction of a layer, `times` over (rows that share one side's spectrum).

        Args:
            sides: as in `Basis`: one side [n], or two whose outer product is rho.
            times: how many directions each entry stands for.
        """
        first, *rest = (side.flatten() for side in sides)
        if not rest:
            self._count(first, times)
            return
        step = max(1, _ROWS // len(rest[0]))
        for rows in first.split(step):
            self._count((rows[:, None] * rest[0]).flatten(), times)

    def _count(self, rho: Tensor, times: int) -> None:
        place = (rho.clamp(min=1e-300).log10() - _LOWEST) / (_HIGHEST - _LOWEST) * _BINS
        bins = place.floor().long().clamp(0, _BINS - 1).cpu()
        self.counts += times * torch.bincount(bins, minlength=_BINS)

    def threshold(self, density: float) -> float:
        """Return the rho that at least a `density` share of all directions reaches, to a bin's width.

        Raises:
            ValueError: nothing was added.
        """
        total = float(self.counts.sum())
        if total == 0:
            raise ValueError("no layer has statistics of both sides")
        reached = self.counts.flip(0).cumsum(0).flip(0)  # directions at or above each bin
        index = int((reached >= density * total).nonzero().max())
        return 10 ** (_LOWEST + (_HIGHEST - _LOWEST) * index / _BINS) if index else 0.0
