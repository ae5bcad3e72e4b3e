"""SafeMERGE (Djuhera et al. 2025, arXiv:2503.17239): only layers that leave safe behaviour are merged.

For a layer's fine-tuning update D_u, C of Safe LoRA (see safe_lora.py) and the safe model's update D_s:
if the cosine similarity of ``C D_u`` and D_u is below a threshold the layer becomes
``(1 - w) D_u + w D_s``, else it stays D_u. The authors' code has threshold 0.35 and w = 0.2.

Needs the fine-tuned and the safe model and a pair, aligned and unaligned; no data. Departs from the
authors' code in that the updates are merged, not LoRA's A and B apart, and in that only their linear
merge is offered. Where the pair does not differ the similarity counts as 0, as there.
"""

import torch
from torch import Tensor

from sst_mergekit.baselines.safe_lora import project
from sst_mergekit.baselines.shared.baseline import Baseline, restoring
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import PAIR, Roles, by_role
from sst_mergekit.baselines.shared.tensors import cosine, difference, pair_difference, wide

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


ROLES = Roles({"utility": (1, 1), "safety": (1, 1), **PAIR})


def merge_method() -> object:
    """Return the mergekit method: the safety expert, merged only where a layer leaves safe behaviour."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        role: host.PerNonBase[host.Role],
        threshold: host.Threshold = THRESHOLD,
        strength: host.Share = STRENGTH,
    ) -> Tensor:
        """Return the utility expert's tensor, mixed with the safety expert's below the threshold.

        Without ``aligned`` and ``unaligned`` the pair is the safety expert and the base model. Tensors that
        are no matrices (norms, biases) are the utility expert's.
        """
        models = by_role("safemerge", ROLES, group, role)
        utility = models["utility"].tensor  # type: ignore[union-attr]
        if utility.ndim != 2 or strength == 0:
            return utility
        if models["aligned"] is None and models["unaligned"] is None:
            models = models | {"aligned": models["safety"]}
        update = difference(models["utility"], models["base"])
        pair = pair_difference(models)
        if not deviates(update, pair, threshold):
            return utility
        safe = difference(models["safety"], models["base"])
        merged = safemerge(update, safe, pair, threshold, strength)
        return (wide(models["base"]) + merged).to(utility.dtype)

    return host.hosted("safemerge", "SafeMERGE", "2503.17239", models=2)(merge)


RECIPE = restoring("safemerge", "safety")
ROW = Method("safemerge", "SafeMERGE", 0.5, ("threshold", (0.35, 0.8)), RECIPE, most=1.0)
BASELINES = (Baseline(ROW, merge_method, ROLES),)
