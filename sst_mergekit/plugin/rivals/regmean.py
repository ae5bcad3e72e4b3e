"""The mergekit method ``regmean``: linear layers that fit every model's outputs, the rest averaged."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Damping
from sst_mergekit.plugin.rivals.measured import Measured, source_of
from sst_mergekit.plugin.rivals.parameters import OffDiagonal, OrAverage, Weight
from sst_mergekit.plugin.rivals.weighted import merge_weighted
from sst_mergekit.rivals import regmean as rival


@merge_method(  # pyright: ignore[reportArgumentType]
    name="regmean",
    pretty_name="RegMean",
    reference_url="https://arxiv.org/abs/2212.09849",
    contract=InputContract(base=BasePolicy.OPTIONAL, min_non_base=2),
)
@finite
def regmean(
    group: TensorGroup,
    fisher: PerNonBase[str] = "",  # type: ignore[assignment]
    weight: PerNonBase[Weight] = 1.0,  # type: ignore[assignment]
    off_diagonal: OffDiagonal = rival.OFF_DIAGONAL,
    damping: Damping = rival.DAMPING,
    on_missing: OrAverage = "average",
) -> torch.Tensor:
    """Return the regression mean of the models; a tensor without statistics is averaged, as in the paper."""

    def merge(tensors: list[torch.Tensor], statistics: list[Measured], weights: list[float]) -> torch.Tensor:
        inputs = [item.tensors["input"] for item in statistics]
        return rival.regmean(tensors, inputs, weights, off_diagonal, damping)

    sources = [source_of(entry, fisher) for entry in group.non_base]
    return merge_weighted(
        group, sources, weight, ("input",), average_missing=on_missing == "average", merge=merge
    )
