"""Safe LoRA (Hsu et al. 2024, arXiv:2405.16833): updates that leave the alignment direction are projected.

``V = W_aligned - W_unaligned`` and ``C = V Vᵀ / |V|_F``. An update D is replaced by ``C D`` where the
cosine similarity of ``C D`` and D is below a threshold, and kept elsewhere. C is the paper's fast form:
it is no projector (C C != C) and its size follows that of V.

Needs a pair of models, aligned and unaligned; no data. Departs from the paper in that D is the whole
difference of a weight, not a LoRA's product (the same where the fine-tune is a LoRA), and in that the
paper may also choose a number of layers instead of a threshold. Where the pair does not differ V is 0
and C undefined: the update is kept. C acts on the rows of a weight stored [d_out, d_in].
"""

from __future__ import annotations

import torch
from torch import Tensor

THRESHOLD = 0.35


def safe_lora(update: Tensor, pair: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Return ``C D`` where its cosine similarity to D is below the threshold, else D; float64.

    Args:
        update: D [d_out, d_in].
        pair: V [d_out, d_in].
        threshold: in [-1, 1]; the similarity is never below 0, for C is positive semidefinite.
    """
    update, pair = update.to(torch.float64), pair.to(torch.float64)
    if not bool(pair.any()):
        return update
    projected = project(update, pair)
    return projected if cosine(projected, update) < threshold else update


def project(update: Tensor, pair: Tensor) -> Tensor:
    """Return ``V (Vᵀ D) / |V|_F``, zeros where V is zero; C [d_out, d_out] is never formed."""
    norm = torch.linalg.norm(pair)
    return torch.zeros_like(update) if float(norm) == 0 else pair @ (pair.T @ update) / norm


def cosine(one: Tensor, other: Tensor) -> float:
    """Return the cosine similarity of two tensors seen as vectors; 0 if one of them is zero."""
    norms = float(torch.linalg.norm(one)) * float(torch.linalg.norm(other))
    return float((one * other).sum()) / norms if norms > 0 else 0.0
