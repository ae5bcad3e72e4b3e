"""The exact empirical Fisher inside the patch's own subspace: per-sample scores, no Kronecker assumption.

With the patch's singular vectors U [d_out, r], V [d_in, r], a sample's score is ``z = vec(Uᵀ dW V)`` and
the Fisher of the patch's core is ``E[z zᵀ]``. There is one side, so ``separable`` and ``soft`` coincide;
with fewer samples than coordinates they are solved in dual form.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sst_mergekit.core import gevp
from sst_mergekit.core.factor import cholesky
from sst_mergekit.core.geometry import Basis, Geometry, Statistics, mean_eigenvalue
from sst_mergekit.core.settings import FilterSettings


def basis(harm: Statistics, benign: Statistics, kappa: float, damping: float) -> Basis:
    """Return the eigenbasis of the patch's core from ``left``, ``right`` and ``scores`` [n, r * r].

    What lies outside of the subspace has no coordinates and is dropped.

    Raises:
        ValueError: harm and benign were measured in different coordinates, or scores are all zero.
    """
    left, right = _axes(harm, benign)
    rank = left.shape[1], right.shape[1]
    pair = [_dense(scores(side), damping) for side in (harm, benign)]
    rho, vectors = gevp.solve(*pair)

    def coordinates(patch: Tensor) -> Tensor:
        return vectors.T @ (pair[1] @ (left.T @ patch.to(torch.float64) @ right).flatten())

    return Basis(
        sides=(kappa * rho,),
        coordinates=coordinates,
        back=lambda found: left @ (vectors @ found).view(rank) @ right.T,
    )


def soft(
    patch: Tensor, harm: Statistics, benign: Statistics, kappa: float, settings: FilterSettings
) -> Tensor:
    """Return ``U (F_h + c F_b)^-1 F_h vec(UᵀDV) Vᵀ``: a solve, no eigenvectors."""
    left, right = _axes(harm, benign)
    core = left.T @ patch.to(torch.float64) @ right
    kept = shrink(core.flatten(), scores(harm), scores(benign), settings.cost / kappa, settings.damping)
    return left @ kept.view_as(core) @ right.T


def shrink(core: Tensor, harm: Tensor, benign: Tensor, cost: float, damping: float) -> Tensor:
    """Return ``(F_h + c F_b)^-1 F_h core`` [k] with ``F = ZᵀZ + damping I`` on both sides.

    In primal form where there are at least as many scores as coordinates, else in dual form by Woodbury.

    Args:
        core: [k], float64.
        harm, benign: Z_h [n_h, k] and Z_b [n_b, k], scaled by `scores`.
        cost: c >= 0.
        damping: epsilon.
    """
    if cost == 0:
        return core
    price = damping * core + benign.T @ (benign @ core)  # F_b core
    stacked = torch.cat([harm, math.sqrt(cost) * benign])  # F_h + cF_b = (1 + c) eps I + stackedᵀ stacked
    ridge = (1 + cost) * damping
    if len(stacked) >= len(core) or ridge == 0:
        matrix = stacked.T @ stacked
        matrix.diagonal().add_(ridge)
        solved = torch.cholesky_solve(price[:, None], cholesky(matrix))[:, 0]
    else:
        gram = stacked @ stacked.T
        gram.diagonal().add_(ridge)
        inner = torch.cholesky_solve((stacked @ price)[:, None], cholesky(gram))[:, 0]
        solved = (price - stacked.T @ inner) / ridge
    return core - cost * solved


def scores(side: Statistics) -> Tensor:
    """Return Z [n, k] in float64, scaled so that ``ZᵀZ`` has mean eigenvalue 1.

    Raises:
        ValueError: the scores are all zero or not finite.
    """
    z = side["scores"].to(torch.float64)
    mean = mean_eigenvalue("scores", z)
    if not (math.isfinite(mean) and mean > 0):
        raise ValueError(f"the scores have mean eigenvalue {mean:g}; expected finite and > 0")
    return z / math.sqrt(mean)


def _dense(z: Tensor, damping: float) -> Tensor:
    matrix = z.T @ z
    matrix.diagonal().add_(damping)
    return matrix


def _axes(harm: Statistics, benign: Statistics) -> tuple[Tensor, Tensor]:
    if not all(
        harm[name].shape == benign[name].shape and torch.equal(harm[name], benign[name])
        for name in ("left", "right")
    ):
        raise ValueError("harm and benign scores are of different patches; measure both with one --patch")
    return harm["left"].to(torch.float64), harm["right"].to(torch.float64)


def quadratic(side: Statistics, patch: Tensor) -> float:
    """Return ``|Z vec(UᵀDV)|²``."""
    left, right, scores = (side[name].to(torch.float64) for name in ("left", "right", "scores"))
    return float((scores @ (left.T @ patch.to(torch.float64) @ right).flatten()).square().sum())


SUBSPACE = Geometry(
    "subspace",
    ("left", "right", "scores"),
    basis,
    quadratic,
    {"separable": soft, "soft": soft},
    additive=False,
)
