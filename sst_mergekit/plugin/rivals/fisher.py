"""The mergekit method ``fisher``: models averaged by their Fisher information."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Damping
from sst_mergekit.plugin.rivals.measured import Measured, source_of
from sst_mergekit.plugin.rivals.parameters import FisherForm, OrAverage, Weight
from sst_mergekit.plugin.rivals.weighted import merge_weighted
from sst_mergekit.rivals import fisher as rival

NEEDS = {"diagonal": ("diagonal",), "kronecker": ("input", "output")}


@merge_method(  # pyright: ignore[reportArgumentType]
    name="fisher",
    pretty_name="Fisher merging",
    reference_url="https://arxiv.org/abs/2111.09832",
    contract=InputContract(base=BasePolicy.OPTIONAL, min_non_base=2),
)
@finite
def fisher(
    group: TensorGroup,
    fisher: PerNonBase[str] = "",  # type: ignore[assignment]
    weight: PerNonBase[Weight] = 1.0,  # type: ignore[assignment]
    geometry: FisherForm = "diagonal",
    damping: Damping = 1e-3,
    on_missing: OrAverage = "error",
) -> torch.Tensor:
    """Return the models' Fisher-weighted mean; a tensor without statistics is an error or averaged."""

    def merge(tensors: list[torch.Tensor], statistics: list[Measured], weights: list[float]) -> torch.Tensor:
        read = [item.tensors for item in statistics]
        if geometry == "diagonal":
            return rival.diagonal(tensors, [item["diagonal"] for item in read], weights, damping)
        factors = [rival.Factors(item["input"], item["output"]) for item in read]
        return rival.kronecker(tensors, factors, weights, damping)

    sources = [source_of(entry, fisher) for entry in group.non_base]
    return merge_weighted(
        group, sources, weight, NEEDS[geometry], average_missing=on_missing == "average", merge=merge
    )
