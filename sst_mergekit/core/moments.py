"""The sums that statistics are made of, in float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ROWS = 256  # of a Gram matrix at a time


def add_second_moment(total: Tensor, rows: Tensor) -> None:
    """Add ``sum_n x_n x_nᵀ`` of rows [n, d] to the lower triangle of ``total`` [d, d], float32.

    Blocks of rows up to the diagonal: little more than half of the products of a whole matrix. What is
    above the diagonal is not to be read until :func:`mirror` has filled it.
    """
    rows = rows.to(torch.float32)
    size = len(total)
    step = max(128, size // 8)
    for start in range(0, size, step):
        end = min(size, start + step)
        total[start:end, :end].addmm_(rows[:, start:end].T, rows[:, :end])


def mirror(total: Tensor) -> Tensor:
    """Return ``total`` [d, d] itself with its lower triangle copied over the upper one."""
    size, step = len(total), 1024
    for start in range(0, size, step):
        end = min(size, start + step)
        total[start:end, end:] = total[end:, start:end].T
        block = total[start:end, start:end]
        block.copy_(block.tril() + block.tril(-1).T)
    return total


def squares(rows: Tensor) -> Tensor:
    """Return ``sum_n x_n ** 2`` [d] in float32 of rows [n, d]: the diagonal of the second moment."""
    return rows.to(torch.float32).square().sum(0)


def counts(ids: Tensor, size: int) -> Tensor:
    """Return how often each id in [n] occurs, [size] in float32: the diagonal second moment of one-hots."""
    return torch.bincount(ids.flatten(), minlength=size).to(torch.float32)


def add_squared_gradients(total: Tensor, x: Tensor, g: Tensor, ends: Sequence[int]) -> None:
    """Add ``sum_b (sum_t g_bt x_btᵀ) ** 2`` to ``total`` [d_out, d_in], float32.

    The square is of each sequence's own gradient, never of the batch's mean. A block of rows at a time, so
    that a product is still in the processor's cache when it is squared.

    Args:
        total: the sum so far.
        x: inputs of a linear layer [batch, time, d_in].
        g: gradients at its output [batch, time, d_out].
        ends: of each sequence, the time from which on its gradients are zero (padding), left out.
    """
    x, g = x.to(torch.float32), g.to(torch.float32)
    step = len(total) if total.is_cuda else 512
    product = total.new_empty(min(step, len(total)), total.shape[1])
    for start in range(0, len(total), step):
        block = total[start : start + step]
        for inputs, gradients, end in zip(x, g, ends, strict=True):
            part = product[: len(block)]
            torch.mm(gradients[:end, start : start + step].T, inputs[:end], out=part)
            block.addcmul_(part, part)


def add_squared_embedding_gradients(total: Tensor, ids: Tensor, g: Tensor) -> None:
    """Add squared per-sequence gradients of an embedding to ``total`` [d, rows], float32.

    Args:
        total: the sum so far.
        ids: token ids [batch, time].
        g: gradients at the embedding's output [batch, time, d].
    """
    ids, sums = gathered(ids, g)
    total.T.index_add_(0, ids, sums.square())


def add_marginal(total: Tensor, x: Tensor, by: Tensor) -> None:
    """Add ``sum_b X_bᵀ (Y_b Y_bᵀ) X_b`` to the lower triangle of ``total`` [d, d], float32.

    The Gram matrices of the other side weigh and mix the positions of x, so no gradient ``YᵀX`` is formed; a
    block of their rows at a time, so that memory stays linear in time. See :func:`mirror`.

    Args:
        total: the sum so far.
        x: one side of a linear layer [batch, time, d].
        by: the other side [batch, time, e]: Y.
    """
    mixed = torch.cat([rows @ by.mT @ x for rows in by.split(ROWS, 1)], 1).flatten(0, 1)
    x, size = x.flatten(0, 1), len(total)
    step = max(128, size // 8)
    for start in range(0, size, step):
        end = min(size, start + step)
        total[start:end, :end].addmm_(x[:, start:end].T, mixed[:, :end])


def gram_rows(x: Tensor, by: Tensor) -> Tensor:
    """Return rows [n, d] with ``sum_n r rᵀ = sum_b X_bᵀ (Y_b Y_bᵀ) X_b``: :func:`add_marginal` as rows.

    ``Y Yᵀ = RᵀR`` by a QR decomposition of Yᵀ, and the rows are ``R X``.
    """
    return (torch.linalg.qr(by.mT, mode="r").R @ x).flatten(0, 1)


def gathered(ids: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Return each sequence's gradients of an embedding's rows: ids [n] and their summed gradients [n, d].

    Args:
        ids: token ids [batch, time].
        g: gradients at the embedding's output [batch, time, d].
    """
    found = []
    for tokens, gradients in zip(ids, g, strict=True):
        unique, position = tokens.unique(return_inverse=True)
        sums = torch.zeros(len(unique), g.shape[-1], device=g.device)
        found.append((unique, sums.index_add_(0, position, gradients.to(torch.float32))))
    return torch.cat([unique for unique, _ in found]), torch.cat([sums for _, sums in found])


def projected(rows: Tensor, axes: Tensor) -> Tensor:
    """Return rows [..., d] in the coordinates of axes [d, k] in columns, float32 [..., k]."""
    return rows.to(torch.float32) @ axes.to(rows.device, torch.float32)


def sequence_sums(rows: Tensor, mask: Tensor) -> Tensor:
    """Return the sums over the masked positions [batch, d], float32, of rows [batch, time, d]."""
    return (rows.to(torch.float32) * mask[..., None]).sum(1)
