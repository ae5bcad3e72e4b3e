"""Safe LoRA (Hsu et al. 2024, arXiv:2405.16833): updates that leave the alignment direction are projected.

``V = W_aligned - W_unaligned`` and ``C = V Vᵀ / |V|_F``. An update D is replaced by ``C D`` where the
cosine similarity of ``C D`` and D is below a threshold, and kept elsewhere. C is the paper's fast form:
it is no projector (C C != C) and its size follows that of V.

Needs a pair of models, aligned and unaligned; no data. Departs from the paper in that D is the whole
difference of a weight, not a LoRA's product (the same where the fine-tune is a LoRA), and in that the
paper may also choose a number of layers instead of a threshold. Where the pair does not differ V is 0
and C undefined: the update is kept. C acts on the rows of a weight stored [d_out, d_in].
"""

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import Baseline, restoring
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import PAIR, Roles, by_role
from sst_mergekit.baselines.shared.tensors import cosine, difference, pair_difference, wide

THRESHOLD = 0.35


def safe_lora(update: Tensor, pair: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Return ``C D`` where its cosine similarity to D is below the threshold, else D; float64.

    Args:
        update: D [d_out, d_in].
        pair: V [d_out, d_in].
        threshold: in [-1, 1]; the similarity is never below 0, for C is positive semidefinite.
    """
    update, pair = update.to(torch.float64), pair.to(torch.float64)
    if not bool(pair.any()):
        return update
    projected = project(update, pair)
    return projected if cosine(projected, update) < threshold else update


def project(update: Tensor, pair: Tensor) -> Tensor:
    """Return ``V (Vᵀ D) / |V|_F``, zeros where V is zero; C [d_out, d_out] is never formed."""
    norm = torch.linalg.norm(pair)
    return torch.zeros_like(update) if float(norm) == 0 else pair @ (pair.T @ update) / norm


ROLES = Roles({"utility": (1, 1), **PAIR}, pair=True)


def merge_method() -> object:
    """Return the mergekit method: the utility expert's updates, projected where they leave alignment."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup, role: host.PerNonBase[host.Role], threshold: host.Threshold = THRESHOLD
    ) -> Tensor:
        """Return ``theta_0 + C D`` where the similarity is below the threshold, else the utility expert's.

        Tensors that are no matrices (norms, biases) are the utility expert's.
        """
        models = by_role("safe_lora", ROLES, group, role)
        utility = models["utility"].tensor  # type: ignore[union-attr]
        if utility.ndim != 2:
            return utility
        update = difference(models["utility"], models["base"])
        kept = safe_lora(update, pair_difference(models), threshold)
        return utility if kept is update else (wide(models["base"]) + kept).to(utility.dtype)

    return host.hosted("safe_lora", "Safe LoRA", "2405.16833", models=2)(merge)


RECIPE = restoring("safe_lora", "aligned", strength="threshold")
ROW = Method("safe_lora", "Safe LoRA", 0.5, None, RECIPE, most=1.0)
BASELINES = (Baseline(ROW, merge_method, ROLES),)
