"""The mergekit method ``lox``: alignment, extrapolated along its top directions, under the utility expert."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Strength
from sst_mergekit.plugin.rivals.pair import aligned_of, pair_difference
from sst_mergekit.plugin.rivals.parameters import Extrapolation, Rank, Role
from sst_mergekit.plugin.rivals.roles import Roles, by_role
from sst_mergekit.plugin.rivals.tensors import difference, wide
from sst_mergekit.rivals import lox as rival

ROLES = Roles({"utility": (0, 1), "aligned": (0, 1), "unaligned": (0, 1)}, pair=True)


@merge_method(  # pyright: ignore[reportArgumentType]
    name="lox",
    pretty_name="LoX",
    reference_url="https://arxiv.org/abs/2506.15606",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=1),
)
@finite
def lox(
    group: TensorGroup,
    role: PerNonBase[Role],
    strength: Strength = 1.0,
    extrapolation: Extrapolation = rival.EXTRAPOLATION,
    rank: Rank = rival.RANK,
) -> torch.Tensor:
    """Return ``theta_u + strength * (theta_aligned - theta_0 + alpha Proj_k(V))``, V aligned minus unaligned.

    Where the utility expert was made from the aligned model, that model is base_model, and only the
    extrapolation is added. Without a utility expert the result is the paper's: the aligned model,
    extrapolated, to be fine-tuned afterwards.
    """
    models = by_role("lox", ROLES, group, role)
    start = models["utility"] or models["base"]
    alignment = difference(aligned_of(models), models["base"])
    if strength == 0:
        return start.tensor  # type: ignore[union-attr]
    added = rival.lox(alignment, pair_difference(models), extrapolation, rank)
    if not bool(added.any()):
        return start.tensor  # type: ignore[union-attr]
    return (wide(start) + strength * added).to(start.tensor.dtype)  # type: ignore[union-attr]
