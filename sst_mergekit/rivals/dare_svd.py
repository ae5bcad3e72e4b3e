"""DARE on singular components: whole directions of a task vector are dropped, not single entries.

``D = sum_j s_j u_j v_jᵀ``; each of the first r components is kept with probability 1 - p and divided by
it, so that the expectation is D's best approximation of rank r. DARE (Yu et al. 2023, arXiv:2311.03099)
does that to single entries; no paper is known to us that defines this form, which a baseline named
"DARE, by subspaces from an SVD" stands for here. Merged as in Task Arithmetic.

Needs task vectors of one base; no data. Vectors (norms, biases) have one component only and are kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

DROP = 0.5
ALL = 0


def dare_svd(delta: Tensor, drop: float, rank: int, generator: torch.Generator) -> Tensor:
    """Return the task vector with singular components dropped at random, float64.

    Args:
        delta: D [d_out, d_in]; of any other number of axes it is kept.
        drop: p in [0, 1).
        rank: r, the leading components that are kept at all; 0 for all.
        generator: of the CPU; the draws belong to the components in descending order.
    """
    delta = delta.to(torch.float64)
    if delta.ndim != 2 or not bool(delta.any()) or (drop == 0 and rank == ALL):
        return delta
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    kept = torch.rand(len(s), generator=generator, dtype=torch.float64) >= drop
    if rank != ALL:
        kept[rank:] = False
    return u @ ((s * kept.to(s.device) / (1 - drop))[:, None] * vt)
