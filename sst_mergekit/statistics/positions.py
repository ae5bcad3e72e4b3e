"""Where a batch predicts response tokens, and the part of it that the output head need see."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Positions:
    """The positions of a padded batch that predict a response token.

    Attributes:
        mask: True there, [batch, time].
    """

    mask: Tensor

    @functools.cached_property
    def index(self) -> Tensor:
        """Return the flat indices of the masked positions [n]."""
        return self.mask.flatten().nonzero()[:, 0]

    @functools.cached_property
    def ends(self) -> list[int]:
        """Return for each sequence the time after its last masked position.

        From there on gradients are zero: nothing that a causal model predicts earlier depends on it.
        """
        return (self.mask.shape[1] - self.mask.flip(1).int().argmax(1)).tolist()

    def rows(self, x: Tensor) -> Tensor:
        """Return the masked rows [n, d] of x [batch, time, d], or ids [n] of [batch, time]."""
        flat = x.flatten(0, 1)
        return flat if len(self.index) == len(flat) else flat.index_select(0, self.index)

    @functools.cached_property
    def window(self) -> Tensor:
        """Return for each sequence the times from its first response position on [batch, longest].

        Shorter responses are filled up with later times, then with the last one, which predicts nothing.
        """
        time = self.mask.shape[1]
        first = self.mask.int().argmax(1)
        last = time - 1 - self.mask.flip(1).int().argmax(1)
        steps = torch.arange(int((last - first).max()) + 1, device=self.mask.device)
        return (first[:, None] + steps).clamp(max=time - 1)

    def in_window(self, x: Tensor) -> Tensor:
        """Return x [batch, time] or [batch, time, d] at the times of the window."""
        index = self.window
        return x.gather(1, index if x.ndim == 2 else index[..., None].expand(-1, -1, x.shape[-1]))
