"""The mergekit method ``dare_svd``: task vectors with singular components dropped at random."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.patching import seed_of
from sst_mergekit.plugin.rivals.parameters import Drop, Rank, Weight
from sst_mergekit.plugin.rivals.roles import ordered
from sst_mergekit.plugin.rivals.tensors import difference, result_dtype, wide
from sst_mergekit.rivals import dare_svd as rival


@merge_method(  # pyright: ignore[reportArgumentType]
    name="dare_svd",
    pretty_name="DARE on singular components",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=1),
)
@finite
def dare_svd(
    group: TensorGroup,
    weight: PerNonBase[Weight] = 1.0,  # type: ignore[assignment]
    drop: Drop = rival.DROP,
    rank: Rank = rival.ALL,
    seed: int = 0,
) -> torch.Tensor:
    """Return ``theta_0 + sum_i w_i DARE_SVD(theta_i - theta_0)``.

    The draws depend on the seed, the tensor's name and the model as the recipe names it, and on nothing
    else.
    """
    entries = ordered(group)
    result = wide(group.base)
    for entry in entries:
        generator = torch.Generator().manual_seed(seed_of(seed, group.metadata.name or "", str(entry.id)))
        delta = difference(entry, group.base)
        result = result + weight[entry.id] * rival.dare_svd(delta, drop, rank, generator)
    return result.to(result_dtype(entries))
