"""RegMean (Jin et al. 2023, arXiv:2212.09849): the linear layer that fits every model's outputs best.

The paper minimises ``sum_i |X_i W - X_i W_i|^2`` over W [d_in, d_out], so
``W = (sum_i X_iᵀX_i)^-1 sum_i X_iᵀX_i W_i``; off-diagonal entries of ``X_iᵀX_i`` are first multiplied by
a factor below 1 (the paper's alpha, 0.9). Weights here are [d_out, d_in], so A stands on the right.

Needs ``input`` statistics A_i of every model. Departs from the paper in that A_i is a mean over tokens,
not a sum (give the numbers of tokens as ``weight`` for the sum), and in a ridge, relative and small,
without which inputs that occur in no model's data (unseen tokens of an embedding) divide 0 by 0.
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.average import check_weights
from sst_mergekit.baselines.shared.baseline import Baseline, Needs, averaged
from sst_mergekit.baselines.shared.measured import Measured
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.ridge import with_ridge
from sst_mergekit.baselines.shared.weighted import merge_weighted
from sst_mergekit.core.factor import cholesky

OFF_DIAGONAL = 0.9
DAMPING = 1e-6


def regmean(
    tensors: Sequence[Tensor],
    inputs: Sequence[Tensor],
    weights: Sequence[float],
    off_diagonal: float = OFF_DIAGONAL,
    damping: float = DAMPING,
) -> Tensor:
    """Return ``(sum_i w_i W_i A_i) (sum_i w_i A_i)^-1`` [d_out, d_in], float64.

    Args:
        tensors: W_i [d_out, d_in].
        inputs: A_i, dense [d_in, d_in] or diagonal [d_in].
        weights: w_i >= 0.
        off_diagonal: factor of the off-diagonal entries of A_i, in [0, 1].
        damping: ridge on every A_i, in units of their mean eigenvalue.

    Raises:
        ValueError: the weights or statistics are not usable.
    """
    check_weights(weights)
    scaled = [scale_off_diagonal(factor, off_diagonal) for factor in with_ridge(inputs, damping)]
    if any(factor.ndim == 2 for factor in scaled):
        scaled = [torch.diag(factor) if factor.ndim == 1 else factor for factor in scaled]
    total = sum(weight * factor for weight, factor in zip(weights, scaled, strict=True))
    fitted = sum(
        weight * _times(tensor.to(torch.float64), factor)
        for weight, tensor, factor in zip(weights, tensors, scaled, strict=True)
    )
    if total.ndim == 1:  # type: ignore[union-attr]
        return fitted / total  # type: ignore[return-value]
    return torch.cholesky_solve(fitted.T, cholesky(total)).T  # type: ignore[union-attr, arg-type]


def scale_off_diagonal(factor: Tensor, scale: float) -> Tensor:
    """Return ``scale * A + (1 - scale) * diag(A)``; a diagonal factor as it is."""
    if factor.ndim == 1:
        return factor
    return scale * factor + (1 - scale) * torch.diag(factor.diagonal())


def _times(weight: Tensor, factor: Tensor) -> Tensor:
    return weight * factor if factor.ndim == 1 else weight @ factor


STATISTICS = {"fisher": Needs("activation")}


def merge_method() -> object:
    """Return the mergekit method: linear layers that fit every model's outputs, the rest averaged."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        fisher: host.PerNonBase[str] = "",  # type: ignore[assignment]
        weight: host.PerNonBase[host.Weight] = 1.0,  # type: ignore[assignment]
        off_diagonal: Annotated[float, host.share("off_diagonal")] = OFF_DIAGONAL,
        damping: host.Damping = DAMPING,
        on_missing: host.OrAverage = "average",
    ) -> Tensor:
        """Return the regression mean; a tensor without statistics is averaged, as in the paper."""

        def mean(tensors: list[Tensor], statistics: list[Measured], weights: list[float]) -> Tensor:
            inputs = [item.tensors["input"] for item in statistics]
            return regmean(tensors, inputs, weights, off_diagonal, damping)

        return merge_weighted(group, fisher, weight, ("input",), on_missing, mean)

    return host.hosted("regmean", "RegMean", "2212.09849", models=2, base=False)(merge)


ROW = Method("regmean", "RegMean", 0.5, None, averaged("regmean", STATISTICS), most=1.0)
BASELINES = (Baseline(ROW, merge_method, statistics=STATISTICS),)
