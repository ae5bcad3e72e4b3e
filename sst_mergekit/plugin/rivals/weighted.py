"""What the methods that weigh all models by statistics have in common: ``fisher`` and ``regmean``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mergekit.merge_methods.base import PerNonBase, TensorGroup
from torch import Tensor

from sst_mergekit.errors import RecipeError, StatisticsError
from sst_mergekit.plugin.rivals.measured import Measured, measured, without
from sst_mergekit.plugin.rivals.tensors import all_equal, result_dtype, wide
from sst_mergekit.rivals.average import average, check_weights
from sst_mergekit.statistics.store import open_statistics, require_one_form

Merge = Callable[[list[Tensor], list[Measured], list[float]], Tensor]


def merge_weighted(
    group: TensorGroup,
    sources: Sequence[str],
    weight: PerNonBase[float],
    names: Sequence[str],
    average_missing: bool,
    merge: Merge,
) -> Tensor:
    """Return the models merged by their statistics, in their dtype; the base model is not merged.

    Args:
        group: the models' tensors.
        sources: where the statistics of each model beside the base are, in the group's order.
        weight: of each model.
        names: of the statistics to read.
        average_missing: average a tensor without statistics, which is an error otherwise.
        merge: called with weights [d_out, d_in], statistics and weights, in an order that is always
            the same; returns [d_out, d_in].

    Raises:
        RecipeError: the weights are not usable.
        StatisticsError: the statistics are missing, of different forms or not usable.
    """
    pairs = sorted(zip(group.non_base, sources, strict=True), key=lambda pair: str(pair[0].id))
    entries = [entry for entry, _ in pairs]
    weights = [weight[entry.id] for entry in entries]
    try:
        check_weights(weights)
    except ValueError as error:
        raise RecipeError(f"models: {error}") from None
    if all_equal(entries):
        return entries[0].tensor
    dtype, tensors = result_dtype(entries), [wide(entry) for entry in entries]
    name = group.metadata.name or ""
    require_one_form(open_statistics(source) for source in sources)
    found = []
    for entry, source in pairs:
        statistics = measured(name, entry.tensor, source, names)
        if statistics is None and not average_missing:
            raise without(name, source, "set 'on_missing: average' to average the models there")
        if statistics is not None:
            found.append(statistics)
    if len(found) < len(entries):
        return average(tensors, weights).to(dtype)
    try:
        merged = merge([s.oriented(t) for s, t in zip(found, tensors, strict=True)], found, weights)
    except ValueError as error:
        raise StatisticsError(f"{name}: {error} (statistics: {', '.join(sorted(sources))})") from None
    return found[0].oriented(merged).to(dtype).contiguous()
