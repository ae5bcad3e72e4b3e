"""The mergekit method ``knots``: task vectors tied by one SVD of all, then merged by TIES."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Density, Strength
from sst_mergekit.plugin.rivals.parameters import Weight
from sst_mergekit.plugin.rivals.roles import ordered
from sst_mergekit.plugin.rivals.tensors import all_equal, difference, result_dtype, wide
from sst_mergekit.rivals import knots as rival


@merge_method(  # pyright: ignore[reportArgumentType]
    name="knots",
    pretty_name="KnOTS",
    reference_url="https://arxiv.org/abs/2410.19735",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=1),
)
@finite
def knots(
    group: TensorGroup,
    weight: PerNonBase[Weight] = 1.0,  # type: ignore[assignment]
    density: PerNonBase[Density] = rival.DENSITY,  # type: ignore[assignment]
    strength: Strength = 1.0,
    normalize: bool = True,
) -> torch.Tensor:
    """Return ``theta_0 + strength * KnOTS(theta_i - theta_0)``.

    Args:
        group: the models' tensors.
        weight, density: of each expert's part in the joint SVD.
        strength: of the merged update.
        normalize: average the entries that agree in sign, as in the paper; else add them.
    """
    entries = ordered(group)
    if all_equal([group.base, *entries]):  # type: ignore[list-item]
        return entries[0].tensor
    updates = [difference(entry, group.base) for entry in entries]
    weights, densities = ([each[entry.id] for entry in entries] for each in (weight, density))
    merged = rival.knots(updates, weights, densities, normalize)
    return (wide(group.base) + strength * merged).to(result_dtype(entries))
