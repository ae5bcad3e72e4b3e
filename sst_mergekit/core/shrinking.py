"""One side of the separable filter, ``L = (H + cB)^-1 H``: one Cholesky factorisation, no eigenvectors.

H and B are scaled to mean eigenvalue 1 and damped by epsilon, as `factor.condition` does it, but in one go:
with the means h and b, ``H + cB = H'/h + (c/b) B' + (1 + c) epsilon I`` of the raw factors H' and B'.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sst_mergekit.core import truncated
from sst_mergekit.core.factor import DEFICIENT, NOT_FINITE, cholesky, condition, dense, mean_of, solve
from sst_mergekit.core.refining import refined, wide_product
from sst_mergekit.core.truncated import is_truncated

SINGLE = 1e4  # the largest condition number at which float32 is enough: errors below a thousandth
REFINED = 1e6  # the largest at which float32 with residuals in float64 converges fast
FEW = 48  # rows a column of x from which refining takes less time than float64


def shrink(harm: Tensor, benign: Tensor, x: Tensor, cost: float, damping: float) -> Tensor:
    """Return ``(H + cB)^-1 H x``, in the dtype of x or, where float32 would lose too much, in float64.

    It is computed as ``x - c (H + cB)^-1 B x``: exact at c = 0. In generalised eigenvectors it multiplies
    direction j by mu_j / (mu_j + c). The condition number of H + cB is at most its Frobenius norm over
    (1 + c) epsilon. Beside dense factors it takes the memory of one of them, in the dtype of x; for many
    columns that float32 would fail, that of three in float64.

    Args:
        harm, benign: factors as measured, each dense symmetric [n, n], diagonal [n] or `truncated`; two
            truncated ones are solved by Woodbury's identity.
        x: [n, m], float32 or float64; left as it is.
        cost: c >= 0.
        damping: epsilon, in units of the mean eigenvalue.

    Raises:
        ValueError: a factor is not finite or zero, or H + cB is not positive definite (raise the damping).
    """
    scales = 1 / mean_of(harm), 1 / mean_of(benign)
    if cost == 0:
        return x
    if is_truncated(harm) and is_truncated(benign):
        pair = condition(harm, damping), condition(benign, damping)
        return truncated.shrink(*pair, x.double(), cost).to(x.dtype)
    harm, benign = harm.to(x.dtype), benign.to(x.dtype)
    if harm.ndim == 1 and benign.ndim == 1:
        kept, lost = harm * scales[0] + damping, cost * (benign * scales[1] + damping)
        if damping == 0 and not bool((lost > 0).all()):
            raise ValueError(DEFICIENT)
        return (kept / (kept + lost))[:, None] * x
    harm, benign = dense(harm), dense(benign)
    system = (scales[0] * harm).add_(benign, alpha=cost * scales[1])
    system.diagonal().add_((1 + cost) * damping)
    size = float(torch.linalg.norm(system))
    if not math.isfinite(size):
        raise ValueError(NOT_FINITE)
    bound = (1 + cost) * damping
    if x.dtype == torch.float32 and size > SINGLE * bound:
        if size <= REFINED * bound and FEW * x.shape[1] <= len(x):
            missing = _missing(harm, benign, x.double(), cost, damping, scales)
            lost = refined(system, missing, torch.zeros_like(x, dtype=torch.float64))
            if lost is not None:
                return x - lost
        del system
        return shrink(harm.double(), benign.double(), x.double(), cost, damping)
    lower = cholesky(system, overwrite=True)
    if x.shape[1] > x.shape[0]:  # one product with the projector instead of two with its parts
        price = scales[1] * benign
        price.diagonal().add_(damping)
        projector = solve(lower, price).mul_(-cost)
        projector.diagonal().add_(1)
        return projector @ x
    price = torch.addmm(x, benign, x, beta=damping, alpha=scales[1])
    return torch.sub(x, solve(lower, price), alpha=cost)


def _missing(
    harm: Tensor, benign: Tensor, x: Tensor, cost: float, damping: float, scales: tuple[float, float]
) -> Callable[[Tensor], Tensor]:
    """Return ``z -> c B x - (H + cB) z`` in float64; where it is 0, z is what the filter takes from x."""

    def missing(lost: Tensor) -> Tensor:
        kept = x - lost
        price = wide_product(benign, kept).mul_(scales[1]).add_(kept, alpha=damping)
        asked = wide_product(harm, lost).mul_(scales[0]).add_(lost, alpha=damping)
        return price.mul_(cost).sub_(asked)

    return missing
