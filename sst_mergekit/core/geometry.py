"""What a geometry is: which statistics it reads, and the basis in which it ranks directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from sst_mergekit.core import truncated
from sst_mergekit.core.settings import TRACED, FilterSettings

Statistics = Mapping[str, Tensor]
# (B [d_out, r], A [r, d_in], harm, benign, kappa, settings) -> (L B, A R): the filtered patch B A as factors
Factors = Callable[[Tensor, Tensor, Statistics, Statistics, float, FilterSettings], tuple[Tensor, Tensor]]
# (patch [d_out, d_in], harm, benign, balance kappa, settings) -> filtered patch, float64
Filter = Callable[[Tensor, Statistics, Statistics, float, FilterSettings], Tensor]


@dataclass(frozen=True)
class Basis:
    """The generalised eigenbasis of one layer: directions in which both Fisher matrices are diagonal.

    Attributes:
        sides: relevance per cost of each side, balance included; their outer product is rho, which
            broadcasts against the coordinates.
        coordinates: patch [d_out, d_in] -> its coordinates C, in which benign cost is sum(C ** 2) / 2.
        back: coordinates -> patch; the inverse of `coordinates`.
    """

    sides: tuple[Tensor, ...]
    coordinates: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    @property
    def rho(self) -> Tensor:
        """Return relevance per cost of every direction."""
        first, *rest = self.sides
        return first[:, None] * rest[0][None, :] if rest else first


@dataclass(frozen=True)
class Geometry:
    """A form of the Fisher matrix in which the filter is applied.

    Attributes:
        name: as in recipes.
        needs: names of the statistics it reads of each layer: ``input`` (A), ``output`` (G),
            ``diagonal``, ...
        basis: (harm, benign, kappa, damping) -> the layer's basis.
        quadratic: (statistics of one side, patch [d_out, d_in]) -> ``<D, F D>``, undamped.
        closed: filters that it computes without a basis, by name.
        factors: the filters that are linear on each side, on a patch ``B A`` that is never formed.
        one_sided: the Fisher is ``I (x) A``, the same for every output.
        additive: its statistics of several experts add up, and can be taken away again.
    """

    name: str
    needs: tuple[str, ...]
    basis: Callable[[Statistics, Statistics, float, float], Basis]
    quadratic: Callable[[Statistics, Tensor], float]
    closed: Mapping[str, Filter] = field(default_factory=dict)
    factors: Mapping[str, Factors] = field(default_factory=dict)
    one_sided: bool = False
    additive: bool = True

    @property
    def traced(self) -> tuple[str, ...]:
        """Return the statistics whose traces make this geometry's."""
        return tuple(name for name in self.needs if name in TRACED)

    def trace(self, traces: Mapping[str, float], shape: tuple[int, int]) -> float:
        """Return the trace of this geometry's Fisher of a layer of ``shape`` (d_out, d_in)."""
        total = math.prod(traces[name] for name in self.traced)
        return total * shape[0] if self.one_sided else total


def trace(name: str, tensor: Tensor) -> float:
    """Return the sum of eigenvalues that a statistic stands for: factors, diagonals, or scores [n, k]."""
    if name == "scores":
        return float(tensor.double().square().sum())
    if name in FACTORS and truncated.is_truncated(tensor):
        return truncated.trace(tensor)
    dense = name != "diagonal" and tensor.ndim == 2
    return float((tensor.diagonal() if dense else tensor).double().sum())


def mean_eigenvalue(name: str, tensor: Tensor) -> float:
    """Return the mean of the eigenvalues that a statistic stands for."""
    count = tensor.numel() if name == "diagonal" else tensor.shape[0 if name in FACTORS else -1]
    return trace(name, tensor) / count


FACTORS = ("input", "output")  # dense, diagonal or truncated


def balance(harm: float, harm_total: float, benign: float, benign_total: float) -> float:
    """Return kappa, a layer's harm/benign trace ratio after global balancing, in [0.1, 10].

    ``(harm / harm_total) / (benign / benign_total)``: 1 where the layer holds the same share of
    both Fisher matrices.
    """
    if not (harm > 0 and benign > 0):
        return 1.0
    return min(10.0, max(0.1, (harm / harm_total) / (benign / benign_total)))
