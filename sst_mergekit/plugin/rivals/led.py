"""The mergekit method ``led``: disjoint masks of the task vectors' important weights."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorEntry, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Density, Strength
from sst_mergekit.plugin.rivals.measured import measured, source_of, without
from sst_mergekit.plugin.rivals.parameters import OrAverage, Weight
from sst_mergekit.plugin.rivals.roles import ordered
from sst_mergekit.plugin.rivals.tensors import all_equal, difference, result_dtype, wide
from sst_mergekit.rivals import led as rival
from sst_mergekit.rivals.average import average


@merge_method(  # pyright: ignore[reportArgumentType]
    name="led",
    pretty_name="LED-Merging",
    reference_url="https://arxiv.org/abs/2502.16770",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
@finite
def led(
    group: TensorGroup,
    fisher: PerNonBase[str] = "",  # type: ignore[assignment]
    fisher_base: PerNonBase[str] = "",  # type: ignore[assignment]
    weight: PerNonBase[Weight] = 1.0,  # type: ignore[assignment]
    density: PerNonBase[Density] = rival.DENSITY,  # type: ignore[assignment]
    strength: Strength = 1.0,
    on_missing: OrAverage = "error",
) -> torch.Tensor:
    """Return ``theta_0 + strength * sum_i w_i m_i (theta_i - theta_0)`` with disjoint masks m_i.

    Args:
        group: the models' tensors.
        fisher, fisher_base: ``diagonal`` statistics of the expert, and of the base model on its data.
        weight, density: of each expert: l_i and the share r_i.
        strength: of the merged task vector.
        on_missing: a changed tensor without statistics is an error, or ``average``: the mean task
            vector of the experts, times strength.
    """
    entries = ordered(group)
    if all_equal([group.base, *entries]):  # type: ignore[list-item]
        return entries[0].tensor
    vectors = [difference(entry, group.base) for entry in entries]
    weights = [weight[entry.id] for entry in entries]
    scores = [_scores(group, entry, fisher, fisher_base, on_missing) for entry in entries]
    if any(pair is None for pair in scores):
        merged = average(vectors, [1.0] * len(vectors))
    else:
        densities = [density[entry.id] for entry in entries]
        merged = rival.led(vectors, scores, densities, weights)  # type: ignore[arg-type]
    return (wide(group.base) + strength * merged).to(result_dtype(entries))


def _scores(
    group: TensorGroup,
    entry: TensorEntry,
    fisher: PerNonBase[str],
    fisher_base: PerNonBase[str],
    on_missing: str,
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the (base model's, expert's own) scores on the expert's data, or None without statistics."""
    name = group.metadata.name or ""
    found = []
    for owner, sources, parameter in (
        (group.base, fisher_base, "fisher_base"),
        (entry, fisher, "fisher"),
    ):
        source = source_of(entry, sources, parameter)
        statistics = measured(name, owner.tensor, source, ("diagonal",))  # type: ignore[union-attr]
        if statistics is None and on_missing == "average":
            return None
        if statistics is None:
            raise without(name, source, "set 'on_missing: average' to average the task vectors there")
        found.append(rival.score(wide(owner), statistics.oriented(statistics.tensors["diagonal"])))
    return found[0], found[1]
