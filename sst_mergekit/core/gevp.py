"""The generalised eigenvalue problem ``H v = rho B v``, solved by Cholesky whitening."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sst_mergekit.core import truncated
from sst_mergekit.core.factor import cholesky, dense


class Spectrum(NamedTuple):
    """Generalised eigenpairs: ``values`` [n] descending, ``vectors`` [n, n] in columns."""

    values: Tensor
    vectors: Tensor


def solve(harm: Tensor, benign: Tensor) -> Spectrum:
    """Return all eigenpairs of ``H v = rho B v``, scaled so that ``Vᵀ B V = I``.

    With ``B = L Lᵀ`` the problem becomes the ordinary ``(L^-1 H L^-T) w = rho w``, v = L^-T w
    (Golub & Van Loan, algorithm 8.7.1). ``scipy.linalg.eigh(H, B)`` is the reference.

    Args:
        harm: H, symmetric positive semidefinite; dense [n, n], diagonal [n] or truncated.
        benign: B, symmetric positive definite; dense [n, n], diagonal [n] or truncated.

    Raises:
        ValueError: B is not positive definite.
    """
    if harm.ndim == 1 and benign.ndim == 1:
        values, order = (harm / benign).sort(descending=True)
        return Spectrum(values, torch.diag(benign.rsqrt())[:, order])
    if truncated.is_truncated(harm) and truncated.is_truncated(benign):
        values, vectors = truncated.pencil(harm, benign)
        values, order = values.sort(descending=True)
        return Spectrum(values.clamp(min=0), vectors[:, order])
    lower = cholesky(dense(benign))
    half = torch.linalg.solve_triangular(lower, dense(harm), upper=False)
    whitened = torch.linalg.solve_triangular(lower, half.T, upper=False)
    values, vectors = torch.linalg.eigh(0.5 * (whitened + whitened.T))
    vectors = torch.linalg.solve_triangular(lower.T, vectors, upper=True)
    return Spectrum(values.flip(0).clamp(min=0), vectors.flip(1))
