"""RESTA (Bhardwaj et al. 2024, arXiv:2402.11746): a safety vector is added to the fine-tuned weights.

``theta = theta_sft + gamma (theta_aligned - theta_unaligned)``. With DARE (Yu et al. 2023,
arXiv:2311.03099) the fine-tuning delta is first thinned: entries are dropped at random and the others
divided by the share kept; the paper names that RESTA_d.

Needs the fine-tuned model and a pair, aligned and unaligned; no data. Departs from the paper in where
the unaligned model comes from (there, it is the aligned one trained on harmful data): any will do.
"""

from __future__ import annotations

import torch
from torch import Tensor

STRENGTH = 1.0
DROP = 0.0


def resta(delta: Tensor, pair: Tensor, strength: float, drop: float, generator: torch.Generator) -> Tensor:
    """Return ``DARE(D) + gamma V``, float64.

    Args:
        delta: D, the fine-tuned weight minus the base's, any shape.
        pair: V, aligned minus unaligned.
        strength: gamma >= 0.
        drop: share of entries of D dropped, in [0, 1); 0 leaves D as it is.
        generator: of the CPU.
    """
    thinned = drop_and_rescale(delta.to(torch.float64), drop, generator)
    return thinned + strength * pair.to(torch.float64)


def drop_and_rescale(delta: Tensor, drop: float, generator: torch.Generator) -> Tensor:
    """Return DARE of a tensor: each entry 0 with probability ``drop``, else divided by ``1 - drop``."""
    if drop == 0:
        return delta
    kept = torch.rand(delta.shape, generator=generator, dtype=torch.float64) >= drop
    return delta * kept.to(delta.device) / (1 - drop)
