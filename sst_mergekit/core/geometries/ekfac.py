"""Eigenvalue-corrected Kronecker factors (EK-FAC, George et al. 2018, arXiv:1806.03884), for a pair.

K-FAC's ``rho_ij = kappa nu_i mu_j`` supposes that inputs and output gradients are independent. Here the
second moments of the gradient are measured in the joint basis (P, U) of both Kronecker problems, one number
for each pair of directions: ``S_ij = E[(p_iᵀ dW u_j) ** 2]``. What K-FAC put there,
``(p_iᵀ G p_i)(u_jᵀ A u_j)``, is replaced by S; the damping terms stay. Where the supposition holds this is
the Kronecker geometry.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sst_mergekit.core.geometry import Basis, Geometry, Statistics, mean_eigenvalue


def basis(harm: Statistics, benign: Statistics, kappa: float, damping: float) -> Basis:
    """Return the joint basis with measured second moments.

    Args:
        harm, benign: ``input`` A [d_in, d_in], ``output`` G [d_out, d_out], ``corrected`` S [d_out, d_in] (a
            mean over tokens like A and G), and the basis ``left`` P, ``right`` U in columns.
        kappa: balance of the layer, > 0.
        damping: epsilon, in units of the mean eigenvalue; the one that the basis was made with.

    Raises:
        ValueError: harm and benign were measured in different bases, or benign ones are rank deficient.
    """
    if not (torch.equal(harm["left"], benign["left"]) and torch.equal(harm["right"], benign["right"])):
        raise ValueError("harm and benign statistics are in different bases; measure both with one --basis")
    p, u = harm["left"].to(torch.float64), harm["right"].to(torch.float64)
    relevance, price = (_corrected(side, p, u, damping) for side in (harm, benign))
    if not bool((price > 0).all()):
        raise ValueError("the benign statistics are rank deficient; set damping above 0")
    root = price.sqrt()

    def coordinates(patch: Tensor) -> Tensor:
        half = torch.linalg.solve(p, patch.to(torch.float64))
        return torch.linalg.solve(u, half.T).T * root

    return Basis(
        sides=(kappa * relevance / price,),
        coordinates=coordinates,
        back=lambda found: p @ (found / root) @ u.T,
    )


def _corrected(side: Statistics, p: Tensor, u: Tensor, damping: float) -> Tensor:
    """Return the damped second moments [d_out, d_in] of one side, at mean eigenvalue 1."""
    scale = {name: mean_eigenvalue(name, side[name]) for name in ("output", "input")}
    if not all(value > 0 for value in scale.values()):
        raise ValueError(f"the factors have mean eigenvalues {scale}; expected finite and > 0")
    rows, columns = (
        (basis * (side[name].to(torch.float64) / scale[name] @ basis)).sum(0)
        for name, basis in (("output", p), ("input", u))
    )
    damped = torch.outer(rows + damping * p.square().sum(0), columns + damping * u.square().sum(0))
    measured = side["corrected"].to(torch.float64) / (scale["output"] * scale["input"])
    if not bool(torch.isfinite(measured).all()):
        raise ValueError("the corrected second moments are not finite; measure them again")
    return (damped - torch.outer(rows, columns)).clamp(min=0) + measured


def quadratic(side: Statistics, patch: Tensor) -> float:
    """Return ``sum S C²``, C the patch in the basis."""
    p, u = side["left"].to(torch.float64), side["right"].to(torch.float64)
    coordinates = torch.linalg.solve(u, torch.linalg.solve(p, patch.to(torch.float64)).T).T
    return float((side["corrected"].to(torch.float64) * coordinates.square()).sum())


EKFAC = Geometry("ekfac", ("input", "output", "corrected", "left", "right"), basis, quadratic)
