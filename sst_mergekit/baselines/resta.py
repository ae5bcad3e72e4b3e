"""RESTA (Bhardwaj et al. 2024, arXiv:2402.11746): a safety vector is added to the fine-tuned weights.

``theta = theta_sft + gamma (theta_aligned - theta_unaligned)``. With DARE (Yu et al. 2023,
arXiv:2311.03099) the fine-tuning delta is first thinned: entries are dropped at random and the others
divided by the share kept; the paper names that RESTA_d.

Needs the fine-tuned model and a pair, aligned and unaligned; no data. Departs from the paper in where
the unaligned model comes from (there, it is the aligned one trained on harmful data): any will do.
"""

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import ADDED, Baseline, restoring
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import PAIR, Roles, by_role
from sst_mergekit.baselines.shared.tensors import difference, pair_difference, wide

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


ROLES = Roles({"utility": (1, 1), **PAIR}, pair=True)


def merge_method() -> object:
    """Return the mergekit method: a safety vector added to the utility expert."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        role: host.PerNonBase[host.Role],
        strength: host.Strength = STRENGTH,
        drop: host.Drop = DROP,
        seed: int = 0,
    ) -> Tensor:
        """Return ``theta_0 + DARE(theta_u - theta_0) + strength * (theta_aligned - theta_unaligned)``."""
        models = by_role("resta", ROLES, group, role)
        utility = models["utility"].tensor  # type: ignore[union-attr]
        pair = pair_difference(models)
        if drop == 0 and (strength == 0 or not bool(pair.any())):
            return utility
        delta = difference(models["utility"], models["base"])
        merged = wide(models["base"]) + resta(delta, pair, strength, drop, host.generator(seed, group))
        return merged.to(utility.dtype)

    return host.hosted("resta", "RESTA", "2402.11746", models=2)(merge)


ROW = Method("resta", "RESTA with DARE", ADDED, ("drop", (0.1, 0.3)), restoring("resta", "aligned"))
BASELINES = (Baseline(ROW, merge_method, ROLES),)
