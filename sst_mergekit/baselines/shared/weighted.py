"""What the methods that weigh all models by statistics have in common: ``fisher`` and ``regmean``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from sst_mergekit.baselines.shared.average import average, check_weights
from sst_mergekit.baselines.shared.measured import Measured, source_of, statistics_of
from sst_mergekit.baselines.shared.roles import ordered
from sst_mergekit.baselines.shared.tensors import all_equal, result_dtype, wide
from sst_mergekit.errors import RecipeError
from sst_mergekit.statistics.store import open_statistics, require_one_form

if TYPE_CHECKING:
    from mergekit.merge_methods.base import PerNonBase, TensorGroup

Merge = Callable[[list[Tensor], list[Measured], list[float]], Tensor]


def merge_weighted(
    group: TensorGroup,
    fisher: PerNonBase[str],
    weight: PerNonBase[float],
    names: Sequence[str],
    on_missing: str,
    merge: Merge,
) -> Tensor:
    """Return the models merged by their statistics, in their dtype; the base model is not merged.

    Args:
        group: the models' tensors.
        fisher: where the statistics of each model beside the base are.
        weight: of each model.
        names: of the statistics to read.
        on_missing: a tensor without statistics is an error, or ``average``.
        merge: called with weights [d_out, d_in], statistics and weights, in an order that is always
            the same; returns [d_out, d_in].

    Raises:
        RecipeError: the weights are not usable.
        StatisticsError: the statistics are missing, of different forms or not usable.
    """
    entries = ordered(group)
    for entry in entries:
        source_of(entry.id, fisher[entry.id])
    weights = [weight[entry.id] for entry in entries]
    try:
        check_weights(weights)
    except ValueError as error:
        raise RecipeError(f"models: {error}") from None
    if all_equal(entries):
        return entries[0].tensor
    dtype, tensors = result_dtype(entries), [wide(entry) for entry in entries]
    require_one_form(open_statistics(fisher[entry.id]) for entry in group.non_base)
    hint = "set 'on_missing: average' to average the models there"
    read = [statistics_of(group, entry, fisher, names, on_missing, hint) for entry in entries]
    found = [each for each in read if each is not None]
    if len(found) < len(entries):
        return average(tensors, weights).to(dtype)
    with found[0].at_fault(*(each.source for each in found[1:])):
        merged = merge([s.oriented(t) for s, t in zip(found, tensors, strict=True)], found, weights)
    return found[0].oriented(merged).to(dtype).contiguous()
