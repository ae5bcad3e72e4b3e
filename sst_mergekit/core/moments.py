"""The sums that statistics are made of: one batch in, one float32 sum out."""

from __future__ import annotations

import torch
from torch import Tensor


def second_moment(rows: Tensor) -> Tensor:
    """Return ``sum_n x_n x_nᵀ`` [d, d] in float32 of rows [n, d]."""
    rows = rows.to(torch.float32)
    return rows.T @ rows


def squares(rows: Tensor) -> Tensor:
    """Return ``sum_n x_n ** 2`` [d] in float32 of rows [n, d]: the diagonal of the second moment."""
    return rows.to(torch.float32).square().sum(0)


def counts(ids: Tensor, size: int) -> Tensor:
    """Return how often each id in [n] occurs, [size] in float32: the diagonal second moment of one-hots."""
    return torch.bincount(ids.flatten(), minlength=size).to(torch.float32)


def squared_gradients(x: Tensor, g: Tensor) -> Tensor:
    """Return ``sum_b (sum_t g_bt x_btᵀ) ** 2`` [d_out, d_in] in float32.

    The square is of each sequence's own gradient, never of the batch's mean.

    Args:
        x: inputs of a linear layer [batch, time, d_in].
        g: gradients at its output [batch, time, d_out].
    """
    total = torch.zeros(g.shape[-1], x.shape[-1], dtype=torch.float32, device=x.device)
    for inputs, gradients in zip(x, g, strict=True):
        total += (gradients.to(torch.float32).T @ inputs.to(torch.float32)).square()
    return total


def squared_embedding_gradients(ids: Tensor, g: Tensor, size: int) -> Tensor:
    """Return ``sum_b`` of squared per-sequence gradients of an embedding, [d, size] in float32.

    Args:
        ids: token ids [batch, time].
        g: gradients at the embedding's output [batch, time, d].
        size: number of rows of the embedding.
    """
    total = torch.zeros(size, g.shape[-1], dtype=torch.float32, device=g.device)
    for tokens, gradients in zip(ids, g, strict=True):
        unique, position = tokens.unique(return_inverse=True)
        gradient = torch.zeros(len(unique), g.shape[-1], dtype=torch.float32, device=g.device)
        gradient.index_add_(0, position, gradients.to(torch.float32))
        total[unique] += gradient.square()
    return total.T


def gradient(x: Tensor, g: Tensor) -> Tensor:
    """Return ``sum_bt g_bt x_btᵀ`` [d_out, d_in] in float32 of inputs [b, t, d_in] and gradients."""
    return g.to(torch.float32).flatten(0, 1).T @ x.to(torch.float32).flatten(0, 1)


def projected(x: Tensor, g: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Return each sequence's gradient in coordinates, ``leftᵀ (sum_t g_t x_tᵀ) right`` [batch, k, l].

    Args:
        x: inputs of a linear layer [batch, time, d_in].
        g: gradients at its output [batch, time, d_out].
        left, right: [d_out, k] and [d_in, l].
    """
    rows = g.to(torch.float32) @ left.to(g.device, torch.float32)
    columns = x.to(torch.float32) @ right.to(x.device, torch.float32)
    return rows.transpose(1, 2) @ columns


def reduced(x: Tensor, g: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return a row a sequence: the mean input and the summed gradient over the masked positions.

    Args:
        x, g: [batch, time, d_in] and [batch, time, d_out].
        mask: [batch, time].
    """
    chosen = mask[..., None].to(torch.float32)
    count = chosen.sum(1).clamp(min=1)
    return (x.to(torch.float32) * chosen).sum(1) / count, (g.to(torch.float32) * chosen).sum(1)
