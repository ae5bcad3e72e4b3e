"""A linear system solved in single precision, refined by residuals in double precision.

Wilkinson's iterative refinement (Higham 2002, Accuracy and Stability of Numerical Algorithms, ch. 12): the
one factorisation in float32 takes half of the memory and of the time; each step multiplies the error by about
the condition number times 1e-7.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sst_mergekit.core.factor import cholesky, solve

STEPS, ENOUGH = 8, 1e-6  # the last correction, as a share of the solution
ROWS = 256


def refined(matrix: Tensor, residual: Callable[[Tensor], Tensor], start: Tensor) -> Tensor | None:
    """Return the solution, float64, or None where it does not converge.

    Args:
        matrix: symmetric positive definite [n, n], float32; its memory is used up.
        residual: x [n, m] -> what is missing of the right-hand side, both float64.
        start: a first x, overwritten.
    """
    try:
        lower = cholesky(matrix, overwrite=True)
    except ValueError:
        return None
    for _ in range(STEPS):
        step = solve(lower, residual(start).to(matrix.dtype))
        start += step
        if float(step.norm()) <= ENOUGH * float(start.norm()):
            return start
    return None


def wide_product(matrix: Tensor, x: Tensor) -> Tensor:
    """Return ``matrix @ x`` in float64 without the whole matrix in float64, for x [n, m] in float64."""
    product, wide = x.new_empty(len(matrix), x.shape[1]), x.new_empty(ROWS, len(x))
    for rows, part in zip(matrix.split(ROWS), product.split(ROWS), strict=True):
        torch.mm(wide[: len(rows)].copy_(rows), x, out=part)
    return product
