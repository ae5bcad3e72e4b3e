"""The mergekit method ``mergealign``: domain and alignment vectors, interpolated."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.rivals.parameters import Interpolation, Role, Share
from sst_mergekit.plugin.rivals.roles import Roles, by_role
from sst_mergekit.plugin.rivals.tensors import difference, wide
from sst_mergekit.rivals import mergealign as rival

ROLES = Roles({"utility": (1, 1), "safety": (1, 1)})


@merge_method(  # pyright: ignore[reportArgumentType]
    name="mergealign",
    pretty_name="MergeAlign",
    reference_url="https://arxiv.org/abs/2411.06824",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
@finite
def mergealign(
    group: TensorGroup,
    role: PerNonBase[Role],
    strength: Share = rival.STRENGTH,
    interpolation: Interpolation = "linear",
) -> torch.Tensor:
    """Return ``theta_0 + interpolate(theta_u - theta_0, theta_s - theta_0)``, the share of the second."""
    models = by_role("mergealign", ROLES, group, role)
    utility = models["utility"].tensor  # type: ignore[union-attr]
    if strength == 0:
        return utility
    domain = difference(models["utility"], models["base"])
    alignment = difference(models["safety"], models["base"])
    if torch.equal(domain, alignment):
        return utility
    merged = wide(models["base"]) + rival.mergealign(domain, alignment, strength, interpolation)
    return merged.to(utility.dtype)
