"""The sum of a layer's terms as one low-rank matrix, and how much of it that matrix holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sst_mergekit.adapters.pair import Pair, approximated, compressed, stacked


@dataclass(frozen=True)
class Total:
    """A sum of matrices as a pair.

    Attributes:
        pair: the sum, or its best approximation of the rank asked for.
        exact: nothing was left out.
        full, kept: squared Frobenius norm of the sum, and of the pair.
    """

    pair: Pair
    exact: bool
    full: float
    kept: float


def total(terms: Sequence[Pair | Tensor], rank: int | None, default_rank: int) -> Total:
    """Return the sum of one or more terms [d_out, d_in].

    Low-rank terms are stacked, which is exact, and compressed only if ``rank`` is less than what they add
    up to. With a dense term among them the sum is dense, and approximated at ``rank`` or ``default_rank``.
    """
    low = [term for term in terms if isinstance(term, Pair)]
    dense = [term for term in terms if not isinstance(term, Pair)]
    if dense:
        matrix = sum(dense[1:], dense[0])
        for term in low:
            matrix = matrix + term.dense()
        pair = approximated(matrix, rank or default_rank)
        return Total(pair, False, float(matrix.square().sum()), pair.energy())
    whole = stacked(low)
    if rank is None or rank >= whole.rank:
        return Total(whole, True, whole.energy(), whole.energy())
    pair = compressed(whole, rank)
    return Total(pair, False, whole.energy(), pair.energy())
