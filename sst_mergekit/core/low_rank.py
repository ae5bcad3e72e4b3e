"""Finding the factors of a patch that is of low rank though it is given as a matrix: a LoRA, folded.

A filter that is linear on each side then solves for as many right-hand sides as the patch has ranks, not for
every row and column.
"""

from __future__ import annotations

import torch
from torch import Tensor

RANK = 64  # the highest that is looked for
LEFT_OUT = 1e-4  # of the patch's norm; folding in float32 leaves rounding errors of about a tenth of it
_BLOCK, _SPARE = 2 * RANK, 8


def factored(patch: Tensor) -> tuple[Tensor, Tensor] | None:
    """Return ``B [d_out, r], A [r, d_in]`` with ``|D - B A| <= LEFT_OUT |D|``; None where r is above `RANK`.

    The rank is guessed from a small block of rows and columns; then B is a basis of ``D`` times so many
    random vectors (Halko, Martinsson & Tropp 2011, arXiv:0909.4061) and A = Bᵀ D. Whether that holds is
    measured, so a wrong guess costs time alone. Small patches are not tried.

    Args:
        patch: D [d_out, d_in].
    """
    if min(patch.shape) < 2 * _BLOCK:
        return None
    block = patch[:: patch.shape[0] // _BLOCK, :: patch.shape[1] // _BLOCK][:_BLOCK, :_BLOCK]
    values = torch.linalg.svdvals(block)
    rank = int((values > LEFT_OUT * values[0]).sum())
    if rank > RANK:
        return None
    generator = torch.Generator().manual_seed(0)
    probes = torch.randn(patch.shape[1], rank + _SPARE, generator=generator, dtype=patch.dtype)
    left = torch.linalg.qr(patch @ probes.to(patch.device)).Q
    right = left.T @ patch
    missed = torch.addmm(patch, left, right, alpha=-1)
    if not float(missed.norm()) <= LEFT_OUT * float(patch.norm()):
        return None
    u, s, vh = torch.linalg.svd(right, full_matrices=False)
    count = max(1, int((s > 0.1 * LEFT_OUT * s[0]).sum()))
    return left @ u[:, :count], s[:count, None] * vh[:count]
