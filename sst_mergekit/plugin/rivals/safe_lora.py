"""The mergekit method ``safe_lora``: the utility expert's updates, projected where they leave alignment."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.rivals.pair import pair_difference
from sst_mergekit.plugin.rivals.parameters import Role, Threshold
from sst_mergekit.plugin.rivals.roles import Roles, by_role
from sst_mergekit.plugin.rivals.tensors import difference, wide
from sst_mergekit.rivals import safe_lora as rival

ROLES = Roles({"utility": (1, 1), "aligned": (0, 1), "unaligned": (0, 1)}, pair=True)


@merge_method(  # pyright: ignore[reportArgumentType]
    name="safe_lora",
    pretty_name="Safe LoRA",
    reference_url="https://arxiv.org/abs/2405.16833",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
@finite
def safe_lora(
    group: TensorGroup, role: PerNonBase[Role], threshold: Threshold = rival.THRESHOLD
) -> torch.Tensor:
    """Return ``theta_0 + C D`` where the similarity is below the threshold, else the utility expert's tensor.

    Tensors that are no matrices (norms, biases) are the utility expert's.
    """
    models = by_role("safe_lora", ROLES, group, role)
    utility = models["utility"].tensor  # type: ignore[union-attr]
    if utility.ndim != 2:
        return utility
    update = difference(models["utility"], models["base"])
    kept = rival.safe_lora(update, pair_difference(models), threshold)
    return utility if kept is update else (wide(models["base"]) + kept).to(utility.dtype)
