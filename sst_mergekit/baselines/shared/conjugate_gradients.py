"""Preconditioned conjugate gradients, on matrices as unknowns (Hestenes & Stiefel 1952)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def conjugate_gradients(
    apply: Map, right: Tensor, precondition: Map, tolerance: float = 1e-10, most: int = 2000
) -> Tensor:
    """Return x with ``apply(x) = right``.

    Args:
        apply, precondition: linear maps, symmetric and positive definite.
        right: any shape, float64.
        tolerance: of the residual's norm, relative to that of ``right``.
        most: iterations.

    Raises:
        ValueError: it has not converged after ``most`` iterations.
    """
    x = torch.zeros_like(right)
    residual = right
    goal = tolerance * float(torch.linalg.norm(right))
    if goal == 0:
        return x
    z = precondition(residual)
    direction, product = z, float((residual * z).sum())
    for _ in range(most):
        image = apply(direction)
        step = product / float((direction * image).sum())
        x = x + step * direction
        residual = residual - step * image
        if float(torch.linalg.norm(residual)) <= goal:
            return x
        z = precondition(residual)
        before, product = product, float((residual * z).sum())
        direction = z + (product / before) * direction
    raise ValueError(f"conjugate gradients have not converged after {most} iterations; raise the damping")
