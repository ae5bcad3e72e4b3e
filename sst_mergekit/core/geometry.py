"""What a geometry is: which statistics it reads and how it filters a patch with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from sst_mergekit.core.settings import FilterSettings

# apply(patch [d_out, d_in], harm statistics, benign statistics, balance kappa, settings) -> patch
Apply = Callable[[Tensor, Mapping[str, Tensor], Mapping[str, Tensor], float, FilterSettings], Tensor]
# factors(B [d_out, r], A [r, d_in], harm, benign, kappa, settings) -> (L B, A R), the factors of apply(B A)
Factors = Callable[
    [Tensor, Tensor, Mapping[str, Tensor], Mapping[str, Tensor], float, FilterSettings], tuple[Tensor, Tensor]
]


@dataclass(frozen=True)
class Geometry:
    """A form of the Fisher matrix in which the filter is applied.

    Attributes:
        name: as in recipes.
        needs: names of the statistics it reads of each layer: ``input`` (A), ``output`` (G),
            ``diagonal``.
        filters: the filters it offers.
        apply: the pure function that filters one patch.
        keeps_rank: the filters that are linear on each side, ``L D R``.
        factors: these filters on a patch ``B A``, which is never formed; None where there are none.
    """

    name: str
    needs: tuple[str, ...]
    filters: tuple[str, ...]
    apply: Apply
    keeps_rank: tuple[str, ...] = ()
    factors: Factors | None = None

    def trace(self, traces: Mapping[str, float], shape: tuple[int, int]) -> float:
        """Return the trace of this geometry's Fisher of a layer of ``shape`` (d_out, d_in)."""
        total = 1.0
        for name in self.needs:
            total *= traces[name]
        return total * shape[0] if self.needs == ("input",) else total


def balance(harm: float, harm_total: float, benign: float, benign_total: float) -> float:
    """Return kappa, a layer's harm/benign trace ratio after global balancing, in [0.1, 10].

    ``(harm / harm_total) / (benign / benign_total)``: 1 where the layer holds the same share of
    both Fisher matrices.
    """
    if not (harm > 0 and benign > 0):
        return 1.0
    return min(10.0, max(0.1, (harm / harm_total) / (benign / benign_total)))
