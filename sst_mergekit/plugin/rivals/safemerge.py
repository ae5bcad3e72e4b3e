"""The mergekit method ``safemerge``: the safety expert, merged only where a layer leaves safe behaviour."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.rivals.pair import pair_difference
from sst_mergekit.plugin.rivals.parameters import Role, Share, Threshold
from sst_mergekit.plugin.rivals.roles import Roles, by_role
from sst_mergekit.plugin.rivals.tensors import difference, wide
from sst_mergekit.rivals import safemerge as rival

ROLES = Roles({"utility": (1, 1), "safety": (1, 1), "aligned": (0, 1), "unaligned": (0, 1)})


@merge_method(  # pyright: ignore[reportArgumentType]
    name="safemerge",
    pretty_name="SafeMERGE",
    reference_url="https://arxiv.org/abs/2503.17239",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
@finite
def safemerge(
    group: TensorGroup,
    role: PerNonBase[Role],
    threshold: Threshold = rival.THRESHOLD,
    strength: Share = rival.STRENGTH,
) -> torch.Tensor:
    """Return the utility expert's tensor, mixed with the safety expert's below the threshold.

    Without ``aligned`` and ``unaligned`` the pair is the safety expert and the base model. Tensors that are
    no matrices (norms, biases) are the utility expert's.
    """
    models = by_role("safemerge", ROLES, group, role)
    utility = models["utility"].tensor  # type: ignore[union-attr]
    if utility.ndim != 2 or strength == 0:
        return utility
    if models["aligned"] is None and models["unaligned"] is None:
        models = models | {"aligned": models["safety"]}
    update = difference(models["utility"], models["base"])
    pair = pair_difference(models)
    if not rival.deviates(update, pair, threshold):
        return utility
    safe = difference(models["safety"], models["base"])
    merged = rival.safemerge(update, safe, pair, threshold, strength)
    return (wide(models["base"]) + merged).to(utility.dtype)
