"""LoX (Perin et al. 2025, arXiv:2506.15606): the alignment's top directions, extrapolated.

``W = W_base + D + alpha Proj_k(D)`` with ``D = W_aligned - W_base``, ``Proj_k(M) = U_k U_kᵀ M`` and U_k
the first k left singular vectors of D, so that ``Proj_k(D)`` is the best approximation of D of rank k.

Needs a pair, aligned and unaligned; no data. The paper does this to the aligned model before others
fine-tune it; used after a fine-tune, as here, it adds the same terms to the fine-tuned weights.
"""

from typing import Annotated

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import Baseline, restoring
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import PAIR, Roles, by_role
from sst_mergekit.baselines.shared.tensors import aligned_of, difference, pair_difference, wide

EXTRAPOLATION = 1.25
RANK = 6


def top_directions(delta: Tensor, rank: int) -> Tensor:
    """Return ``U_k U_kᵀ D`` [d_out, d_in], float64; all of D from ``rank`` = min(d_out, d_in) on.

    From the eigenvectors of the smaller Gram matrix: for V_k those of ``DᵀD``, ``D V_k V_kᵀ`` is the same.

    Args:
        delta: D [d_out, d_in].
        rank: k >= 0.
    """
    delta = delta.to(torch.float64)
    if rank == 0:
        return torch.zeros_like(delta)
    if rank >= min(delta.shape):
        return delta
    if delta.shape[0] < delta.shape[1]:
        return top_directions(delta.T, rank).T
    top = torch.linalg.eigh(delta.T @ delta).eigenvectors[:, -rank:]
    return delta @ top @ top.T


def lox(alignment: Tensor, pair: Tensor, extrapolation: float, rank: int) -> Tensor:
    """Return ``D + alpha Proj_k(V)``, float64.

    Args:
        alignment: D, what is to be added of the aligned model itself: zeros if the fine-tune holds it.
        pair: V [d_out, d_in], aligned minus unaligned; of a vector (a norm, a bias) nothing is added.
        extrapolation: alpha >= 0.
        rank: k >= 0.
    """
    result = alignment.to(torch.float64)
    if extrapolation == 0 or pair.ndim != 2:
        return result
    return result + extrapolation * top_directions(pair, rank)


ROLES = Roles({"utility": (0, 1), **PAIR}, pair=True)


def merge_method() -> object:
    """Return the mergekit method: alignment, extrapolated along its top directions, under the expert."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        role: host.PerNonBase[host.Role],
        strength: host.Strength = 1.0,
        extrapolation: Annotated[float, host.not_negative("extrapolation")] = EXTRAPOLATION,
        rank: host.Rank = RANK,
    ) -> Tensor:
        """Return ``theta_u + strength * (theta_aligned - theta_0 + alpha Proj_k(V))``.

        V is aligned minus unaligned. Where the utility expert was made from the aligned model, that model is
        base_model, and only the extrapolation is added. Without a utility expert the result is the paper's:
        the aligned model, extrapolated, to be fine-tuned afterwards.
        """
        models = by_role("lox", ROLES, group, role)
        start = models["utility"] or models["base"]
        tensor = start.tensor  # type: ignore[union-attr]
        alignment = difference(aligned_of(models), models["base"])
        if strength == 0:
            return tensor
        added = lox(alignment, pair_difference(models), extrapolation, rank)
        return (wide(start) + strength * added).to(tensor.dtype) if bool(added.any()) else tensor

    return host.hosted("lox", "LoX", "2506.15606", models=1)(merge)


ROW = Method("lox", "LoX", 0.5, ("extrapolation", (0.5, 1.25)), restoring("lox", "aligned"))
BASELINES = (Baseline(ROW, merge_method, ROLES),)
