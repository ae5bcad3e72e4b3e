"""SafeMERGE (Djuhera et al. 2025, arXiv:2503.17239): only layers that leave safe behaviour are merged.

For a layer's fine-tuning update D_u, C of Safe LoRA (see safe_lora.py) and the safe model's update D_s:
if the cosine similarity of ``C D_u`` and D_u is below a threshold the layer becomes
``(1 - w) D_u + w D_s``, else it stays D_u. The authors' code has threshold 0.35 and w = 0.2.

Needs the fine-tuned and the safe model and a pair, aligned and unaligned; no data. Departs from the
authors' code in that the updates are merged, not LoRA's A and B apart, and in that only their linear
merge is offered. Where the pair does not differ the similarity counts as 0, as there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sst_mergekit.rivals.safe_lora import cosine, project

THRESHOLD = 0.35
STRENGTH = 0.2


def deviates(update: Tensor, pair: Tensor, threshold: float = THRESHOLD) -> bool:
    """Return whether the similarity of an update [d_out, d_in] and its projection is below the threshold.

    Args:
        update: D_u.
        pair: V, aligned minus unaligned, of the same shape.
        threshold: in [-1, 1].
    """
    update, pair = update.to(torch.float64), pair.to(torch.float64)
    return cosine(project(update, pair), update) < threshold


def safemerge(
    utility: Tensor, safety: Tensor, pair: Tensor, threshold: float = THRESHOLD, strength: float = STRENGTH
) -> Tensor:
    """Return the merged update [d_out, d_in], float64.

    Args:
        utility, safety: D_u and D_s.
        pair: V, aligned minus unaligned.
        threshold: in [-1, 1].
        strength: w in [0, 1].
    """
    if not deviates(utility, pair, threshold):
        return utility.to(torch.float64)
    return (1 - strength) * utility.to(torch.float64) + strength * safety.to(torch.float64)
