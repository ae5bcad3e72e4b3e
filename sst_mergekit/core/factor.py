"""One side of a Kronecker-factored Fisher: a dense [n, n] or a diagonal [n] second moment."""

from __future__ import annotations

import torch
from torch import Tensor


def condition(factor: Tensor, damping: float) -> Tensor:
    """Return the factor in float64, scaled to mean eigenvalue 1, plus ``damping`` on the diagonal.

    Args:
        factor: dense symmetric [n, n] or diagonal [n], positive semidefinite, any float dtype.
        damping: epsilon, in units of the mean eigenvalue.

    Raises:
        ValueError: the trace is not a finite positive number.
    """
    factor = factor.to(torch.float64)
    mean = factor.mean() if factor.ndim == 1 else factor.diagonal().mean()
    if not bool(torch.isfinite(factor).all()) or not float(mean) > 0:
        raise ValueError(f"the factor has mean eigenvalue {float(mean):g}; expected finite and > 0")
    if factor.ndim == 1:
        return factor / mean + damping
    scaled = factor / mean
    scaled = 0.5 * (scaled + scaled.T)
    scaled.diagonal().add_(damping)
    return scaled


def multiply(factor: Tensor, x: Tensor) -> Tensor:
    """Return ``factor @ x`` for a dense [n, n] or diagonal [n] factor and x [n, m]."""
    return factor[:, None] * x if factor.ndim == 1 else factor @ x


def shrink(harm: Tensor, benign: Tensor, x: Tensor, cost: float) -> Tensor:
    """Return ``(H + cB)^-1 H x``, the regularised one-sided projection, without eigenvectors.

    It is computed as ``x - c (H + cB)^-1 B x``: exact at c = 0, one Cholesky factorisation
    otherwise. In generalised eigenvectors it multiplies direction j by mu_j / (mu_j + c).

    Args:
        harm, benign: conditioned factors, each dense [n, n] or diagonal [n], float64.
        x: [n, m], float64.
        cost: c >= 0.

    Raises:
        ValueError: ``H + cB`` is not positive definite (raise the damping).
    """
    if cost == 0:
        return x
    if harm.ndim == 1 and benign.ndim == 1:
        return (harm / (harm + cost * benign))[:, None] * x
    harm, benign = dense(harm), dense(benign)
    lower = cholesky(harm + cost * benign)
    return x - cost * torch.cholesky_solve(benign @ x, lower)


def dense(factor: Tensor) -> Tensor:
    """Return the [n, n] matrix of a dense or diagonal factor."""
    return torch.diag(factor) if factor.ndim == 1 else factor


def cholesky(matrix: Tensor) -> Tensor:
    """Return the lower Cholesky factor of a symmetric matrix [n, n].

    Raises:
        ValueError: the matrix is not positive definite.
    """
    lower, info = torch.linalg.cholesky_ex(matrix)
    if int(info) != 0:
        raise ValueError("the statistics are rank deficient; set damping above 0")
    return lower
