"""The mergekit method ``resta``: a safety vector added to the utility expert."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Strength
from sst_mergekit.plugin.patching import seed_of
from sst_mergekit.plugin.rivals.pair import pair_difference
from sst_mergekit.plugin.rivals.parameters import Drop, Role
from sst_mergekit.plugin.rivals.roles import Roles, by_role
from sst_mergekit.plugin.rivals.tensors import difference, wide
from sst_mergekit.rivals import resta as rival

ROLES = Roles({"utility": (1, 1), "aligned": (0, 1), "unaligned": (0, 1)}, pair=True)


@merge_method(  # pyright: ignore[reportArgumentType]
    name="resta",
    pretty_name="RESTA",
    reference_url="https://arxiv.org/abs/2402.11746",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
@finite
def resta(
    group: TensorGroup,
    role: PerNonBase[Role],
    strength: Strength = rival.STRENGTH,
    drop: Drop = rival.DROP,
    seed: int = 0,
) -> torch.Tensor:
    """Return ``theta_0 + DARE(theta_u - theta_0) + strength * (theta_aligned - theta_unaligned)``."""
    models = by_role("resta", ROLES, group, role)
    utility = models["utility"].tensor  # type: ignore[union-attr]
    pair = pair_difference(models)
    if drop == 0 and (strength == 0 or not bool(pair.any())):
        return utility
    generator = torch.Generator().manual_seed(seed_of(seed, group.metadata.name or ""))
    delta = difference(models["utility"], models["base"])
    merged = wide(models["base"]) + rival.resta(delta, pair, strength, drop, generator)
    return merged.to(utility.dtype)
