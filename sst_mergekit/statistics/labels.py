"""The loss whose gradients are measured: on the data's responses, or on labels drawn from the model."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sst_mergekit.statistics.tokens import IGNORED


def summed_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the summed cross-entropy of logits [batch, time, vocabulary] where labels are not IGNORED."""
    return cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )


def sample(logits: Tensor, mask: Tensor, seed: int, numbers: tuple[int, ...]) -> Tensor:
    """Return labels [batch, time] drawn from the model's own distribution where mask holds.

    A sequence's draws depend on the seed and its number alone, so that they are the same in every pass,
    whatever the batches are.

    Args:
        logits: [batch, time, vocabulary].
        mask: [batch, time].
        seed: of all draws.
        numbers: which sequence of the data each row is.
    """
    labels = torch.full(mask.shape, IGNORED, dtype=torch.long, device=logits.device)
    for row, number in enumerate(numbers):
        chosen = mask[row]
        reached = logits[row, chosen].detach().float().softmax(-1).cumsum(-1)
        generator = torch.Generator().manual_seed((seed << 32) + number)
        height = torch.rand(len(reached), 1, generator=generator).to(reached.device) * reached[:, -1:]
        labels[row, chosen] = torch.searchsorted(reached, height, right=True)[:, 0].clamp_(
            max=logits.shape[-1] - 1
        )
    return labels
