"""How much is measured, and how much of it a layer sees."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """How much was measured: sequences, response tokens, and the positions that the kind uses of them."""

    sequences: int
    tokens: int
    used: int


@dataclass(frozen=True)
class Extent(Counts):
    """The same, and positions: those that the model computes, and those of them that gradients reach.

    The model computes prompts and the padding of batches too; gradients end before a sequence's last token.
    """

    positions: int
    reached: int

    def sent(self, share: float) -> Extent:
        """Return what of it an expert sees to which that share of all tokens is sent."""
        counts = (self.tokens, self.used, self.positions, self.reached)
        return Extent(self.sequences, *(math.ceil(share * count) for count in counts))
