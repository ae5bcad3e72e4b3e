"""Which positions of a sequence each kind of statistics uses, and what of a batch the output head sees."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sst_mergekit.statistics.tokens import IGNORED, Batch, Sequence


@dataclass(frozen=True)
class Rule:
    """Which positions are used: a mask [batch, time] of a batch, and their number in a sequence."""

    mask: Callable[[Batch], Tensor]
    count: Callable[[Sequence], int]


def _after_first(batch: Batch) -> Tensor:
    mask = batch.attention.bool()
    return mask & (torch.arange(mask.shape[1], device=mask.device) > 0)


# All but padding, for the loss of a response has gradients at its prompt too.
ALL = Rule(lambda batch: batch.attention.bool(), lambda sequence: len(sequence.ids))
AFTER_FIRST = Rule(_after_first, lambda sequence: len(sequence.ids) - 1)
RESPONSE = Rule(lambda batch: batch.labels != IGNORED, lambda sequence: sequence.predicted)  # its labels


@dataclass(frozen=True)
class Positions:
    """Some positions of a padded batch.

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
        """Return for each sequence the time after its last masked position."""
        return (self.mask.shape[1] - self.mask.flip(1).int().argmax(1)).tolist()

    def rows(self, x: Tensor) -> Tensor:
        """Return the masked rows [n, d] of x [batch, time, d], or ids [n] of [batch, time]."""
        flat = x.flatten(0, 1)
        return flat if len(self.index) == len(flat) else flat.index_select(0, self.index)

    @functools.cached_property
    def window(self) -> Tensor:
        """Return for each sequence the times from its first masked position on [batch, longest].

        Shorter ones are filled up with later times, then with the last one, which predicts nothing.
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
