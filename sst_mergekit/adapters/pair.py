"""Arithmetic of low-rank matrices kept as two factors; the matrix itself is not formed unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pair:
    """The matrix ``left @ right`` [d_out, d_in], from left [d_out, r] and right [r, d_in], float64."""

    left: Tensor
    right: Tensor

    @property
    def rank(self) -> int:
        """The number of columns of ``left``: no less than the rank of the matrix."""
        return self.right.shape[0]

    @property
    def shape(self) -> tuple[int, int]:
        """(d_out, d_in)."""
        return self.left.shape[0], self.right.shape[1]

    def dense(self) -> Tensor:
        """Return the matrix [d_out, d_in]."""
        return self.left @ self.right

    def energy(self) -> float:
        """Return the squared Frobenius norm, ``tr(BᵀB AAᵀ)``, from two [r, r] matrices."""
        return max(0.0, float(((self.left.T @ self.left) * (self.right @ self.right.T)).sum()))

    def scaled(self, factor: float) -> Pair:
        """Return ``factor`` times the matrix."""
        return Pair(self.left * factor, self.right)


def stacked(pairs: Sequence[Pair]) -> Pair:
    """Return the sum of one or more matrices, exactly: ``[B_1, B_2, ...] [A_1; A_2; ...]``."""
    return Pair(torch.cat([p.left for p in pairs], dim=1), torch.cat([p.right for p in pairs], dim=0))


def compressed(pair: Pair, rank: int) -> Pair:
    """Return the best approximation of a lower rank (Eckart-Young), by QR of both factors.

    With ``B = Q S`` and ``Aᵀ = P T`` the singular values of ``B A`` are those of the small ``S Tᵀ``;
    their square roots go to either side. The approximation has min(rank, r, d_out, d_in) factors.
    """
    q, s = torch.linalg.qr(pair.left)
    p, t = torch.linalg.qr(pair.right.T)
    u, values, vh = torch.linalg.svd(s @ t.T, full_matrices=False)
    root = values[:rank].sqrt()
    return Pair(q @ (u[:, :rank] * root), (root[:, None] * vh[:rank]) @ p.T)


def approximated(matrix: Tensor, rank: int) -> Pair:
    """Return the best approximation of a dense matrix [d_out, d_in], from an eigenbasis of its smaller side.

    With U the first eigenvectors of ``M Mᵀ`` it is ``U (Uᵀ M)``, a projection, so that only the choice
    of U feels the squaring.
    """
    if matrix.shape[0] > matrix.shape[1]:
        turned = approximated(matrix.T, rank)
        return Pair(turned.right.T, turned.left.T)
    _, vectors = torch.linalg.eigh(matrix @ matrix.T)
    basis = vectors.flip(-1)[:, :rank]
    rows = basis.T @ matrix
    root = rows.norm(dim=1).sqrt().clamp_min(torch.finfo(torch.float64).tiny)
    return Pair(basis * root, rows / root[:, None])
