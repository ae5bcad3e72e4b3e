"""One side of a Kronecker-factored Fisher: a dense [n, n], diagonal [n] or truncated second moment."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sst_mergekit.core import truncated
from sst_mergekit.core.truncated import DEFICIENT

NOT_FINITE = "the factor holds numbers that are not finite; measure the statistics again"


def condition(factor: Tensor, damping: float) -> Tensor:
    """Return the factor in float64, scaled to mean eigenvalue 1, plus ``damping`` on the diagonal.

    Args:
        factor: dense symmetric [n, n], diagonal [n] or `truncated`, positive semidefinite, any float dtype.
        damping: epsilon, in units of the mean eigenvalue.

    Raises:
        ValueError: the trace is not a finite positive number.
    """
    factor = factor.to(torch.float64)
    mean = mean_of(factor)
    if not bool(torch.isfinite(factor).all()):
        raise ValueError(NOT_FINITE)
    if factor.ndim == 1:
        return factor / mean + damping
    if truncated.is_truncated(factor):
        return truncated.scaled(factor, mean, damping)
    scaled = factor / mean
    scaled = 0.5 * (scaled + scaled.T)
    scaled.diagonal().add_(damping)
    return scaled


def mean_of(factor: Tensor) -> float:
    """Return the mean eigenvalue of a dense [n, n], diagonal [n] or truncated factor.

    Raises:
        ValueError: it is not a finite positive number.
    """
    if truncated.is_truncated(factor):
        mean = truncated.trace(factor) / len(factor)
    else:
        mean = float((factor if factor.ndim == 1 else factor.diagonal()).mean())
    if not (math.isfinite(mean) and mean > 0):
        raise ValueError(f"the factor has mean eigenvalue {mean:g}; expected finite and > 0")
    return mean


def multiply(factor: Tensor, x: Tensor) -> Tensor:
    """Return ``factor @ x`` for a dense [n, n], diagonal [n] or truncated factor and x [n, m]."""
    if truncated.is_truncated(factor):
        return truncated.multiply(factor, x)
    return factor[:, None] * x if factor.ndim == 1 else factor @ x


def dense(factor: Tensor) -> Tensor:
    """Return the [n, n] matrix of a dense, diagonal or truncated factor."""
    if truncated.is_truncated(factor):
        return truncated.expand(factor)
    return torch.diag(factor) if factor.ndim == 1 else factor


def cholesky(matrix: Tensor, overwrite: bool = False) -> Tensor:
    """Return the lower Cholesky factor of a symmetric matrix [n, n], on request in the matrix's own memory.

    Raises:
        ValueError: the matrix is not positive definite.
    """
    columns = matrix.mT  # as LAPACK orders them
    out = (columns, torch.empty((), dtype=torch.int32, device=matrix.device)) if overwrite else None
    lower, info = torch.linalg.cholesky_ex(columns, out=out)
    if int(info) != 0:
        raise ValueError(DEFICIENT)
    return lower


def solve(lower: Tensor, x: Tensor) -> Tensor:
    """Return ``(L Lᵀ)^-1 x`` for a Cholesky factor L [n, n], in the memory of x [n, m]."""
    torch.linalg.solve_triangular(lower, x, upper=False, out=x)
    return torch.linalg.solve_triangular(lower.mT, x, upper=True, out=x)
