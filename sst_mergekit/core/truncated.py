"""A second moment kept as its top eigenpairs and an isotropic rest, ``F = W Wᵀ + sigma I``.

As one tensor [n, k + 1] with k + 1 < n: the columns of W, ``v_j sqrt(lambda_j - sigma)``, and a column of
sigma. The trace is that of the whole matrix: sigma is the mean of the eigenvalues that are left out.
"""

from __future__ import annotations

import torch
from torch import Tensor

DEFICIENT = "the statistics are rank deficient; set damping above 0"


def is_truncated(factor: Tensor) -> bool:
    """Return whether a factor is kept in this form; a dense one is square, a diagonal one a vector."""
    return factor.ndim == 2 and factor.shape[1] < factor.shape[0]


def packed(values: Tensor, vectors: Tensor, trace: float) -> Tensor:
    """Return the form [n, k + 1] of top eigenpairs, values [k] and vectors [n, k], and the whole trace.

    In the vectors' dtype.
    """
    size, rank = vectors.shape
    rest = max(0.0, (trace - float(values.sum())) / (size - rank))
    root = vectors * (values - rest).clamp(min=0).sqrt().to(vectors.dtype)
    return torch.cat([root, root.new_full((size, 1), rest)], 1)


def parts(factor: Tensor) -> tuple[Tensor, float]:
    """Return W [n, k] and sigma."""
    return factor[:, :-1], float(factor[0, -1])


def trace(factor: Tensor) -> float:
    """Return the trace."""
    root, rest = parts(factor)
    return float(root.double().square().sum()) + len(root) * rest


def cut(matrix: Tensor, rank: int) -> Tensor:
    """Return the form of a dense symmetric matrix [n, n] with its `rank` top eigenpairs, in its dtype.

    A matrix that is no smaller in that form is returned as it is.
    """
    if rank + 1 >= len(matrix):
        return matrix
    values, vectors = torch.linalg.eigh(matrix.double())
    return packed(values[-rank:], vectors[:, -rank:], float(values.sum())).to(matrix.dtype)


def expand(factor: Tensor) -> Tensor:
    """Return the dense matrix [n, n]."""
    root, rest = parts(factor)
    matrix = root @ root.T
    matrix.diagonal().add_(rest)
    return matrix


def scaled(factor: Tensor, mean: float, damping: float) -> Tensor:
    """Return ``F / mean + damping I``."""
    root, rest = parts(factor)
    return torch.cat([root / mean**0.5, root.new_full((len(root), 1), rest / mean + damping)], 1)


def multiply(factor: Tensor, x: Tensor) -> Tensor:
    """Return ``F x`` for x [n, m]."""
    root, rest = parts(factor)
    return root @ (root.T @ x) + rest * x


def added(weighted: list[tuple[float, Tensor]]) -> Tensor:
    """Return the weighted sum of several, with all their directions; dense where these fill the space."""
    root = torch.cat([parts(factor)[0] * weight**0.5 for weight, factor in weighted], 1)
    rest = sum(weight * parts(factor)[1] for weight, factor in weighted)
    whole = torch.cat([root, root.new_full((len(root), 1), rest)], 1)
    return whole if is_truncated(whole) else expand(whole)


def shrink(harm: Tensor, benign: Tensor, x: Tensor, cost: float) -> Tensor:
    """Return ``(H + cB)^-1 H x = x - c (H + cB)^-1 B x`` by Woodbury's identity.

    ``H + cB = S Sᵀ + r I`` with S both roots side by side, so only a system of their ranks is solved.

    Raises:
        ValueError: both rests are 0.
    """
    (first, rest), (second, other) = parts(harm), parts(benign)
    ridge = rest + cost * other
    if not ridge > 0:
        raise ValueError(DEFICIENT)
    stacked = torch.cat([first, second * cost**0.5], 1)
    price = multiply(benign, x)
    gram = stacked.T @ stacked
    gram.diagonal().add_(ridge)
    inner = torch.cholesky_solve(stacked.T @ price, torch.linalg.cholesky(gram))
    return x - (cost / ridge) * (price - stacked @ inner)


def pencil(harm: Tensor, benign: Tensor) -> tuple[Tensor, Tensor]:
    """Return all eigenpairs of ``H v = rho B v`` with ``Vᵀ B V = I``: values [n], unordered, and V [n, n].

    Both matrices are multiples of the identity outside of the span of both roots; inside it the problem has
    the size of their ranks.

    Raises:
        ValueError: B is singular.
    """
    (first, rest), (second, other) = parts(harm), parts(benign)
    if not other > 0:
        raise ValueError(DEFICIENT)
    both = torch.cat([first, second], 1)
    count = min(both.shape)
    whole, _ = torch.linalg.qr(both, mode="complete")
    inside, outside = whole[:, :count], whole[:, count:]
    pair = [inside.T @ multiply(factor, inside) for factor in (harm, benign)]
    lower = torch.linalg.cholesky(pair[1])
    half = torch.linalg.solve_triangular(lower, pair[0], upper=False)
    whitened = torch.linalg.solve_triangular(lower, half.T, upper=False)
    values, vectors = torch.linalg.eigh(0.5 * (whitened + whitened.T))
    vectors = inside @ torch.linalg.solve_triangular(lower.T, vectors, upper=True)
    left = values.new_full((outside.shape[1],), rest / other)
    return torch.cat([values, left]), torch.cat([vectors, outside / other**0.5], 1)
