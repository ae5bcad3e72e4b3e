"""The merge methods that give a low-rank result, each as terms whose sum is the merged change of a layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from mergekit.common import ModelReference
from torch import Tensor

from sst_mergekit.adapters.pair import Pair, stacked
from sst_mergekit.adapters.plan import Numbers
from sst_mergekit.baselines import found as baselines
from sst_mergekit.baselines.shared.baseline import Baseline, Part
from sst_mergekit.core.filtering import data_free
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin import coverage
from sst_mergekit.plugin.evidence import Side, Source
from sst_mergekit.plugin.patching import PatchFilter
from sst_mergekit.plugin.roles import cast, sources

# terms(numbers of one weight, model -> its change of that weight) -> low-rank or dense matrices [d_out, d_in]
Terms = Callable[[Numbers, Mapping[ModelReference, Pair]], "list[Pair | Tensor]"]


def linear(numbers: Numbers, changes: Mapping[ModelReference, Pair]) -> list[Pair | Tensor]:
    """Return ``w_i D_i / sum(w)`` of each model; a model without a change counts in the sum alone.

    Raises:
        RecipeError: the weights sum to 0; or, without ``normalize``, not to 1, which scales the base itself.
    """
    return _weighted(linear_weights(numbers), changes)


def linear_weights(numbers: Numbers) -> dict[ModelReference, float]:
    """Return the share of each model in mergekit's ``linear``."""
    weights = {model: float(own["weight"]) for model, own in _sorted(numbers)}
    total = sum(weights.values())
    if numbers.shared["normalize"]:
        if total == 0:
            raise RecipeError(f"models: the weights for {numbers.name} sum to 0; linear divides by the sum")
        return {model: weight / total for model, weight in weights.items()}
    if abs(total - 1) > 1e-6:
        raise RecipeError(
            f"parameters.normalize: false, and the weights for {numbers.name} sum to {total:g}: that scales "
            "the base model too, which no adapter does; set 'normalize: true' or use task_arithmetic"
        )
    return weights


def task_arithmetic(numbers: Numbers, changes: Mapping[ModelReference, Pair]) -> list[Pair | Tensor]:
    """Return ``lambda w_i D_i`` of each model but the base, over ``sum(w)`` if normalised."""
    weights = {model: float(own["weight"]) for model, own in _sorted(numbers) if "weight" in own}
    total = sum(weights.values())
    divisor = total if numbers.shared["normalize"] and abs(total) >= 1e-8 else 1.0
    factor = float(numbers.shared["lambda"]) / divisor
    return _weighted({model: weight * factor for model, weight in weights.items()}, changes)


def sst(numbers: Numbers, changes: Mapping[ModelReference, Pair]) -> list[Pair | Tensor]:
    """Return the utility experts' changes and ``strength * filter(patch)`` of each patched expert.

    Raises:
        RecipeError: roles or statistics are not named as the method needs them.
        StatisticsError: no statistics for a changed layer, or of another shape or kind.
    """
    shared, own = numbers.shared, numbers.own
    strength, interpolate = float(shared["strength"]), shared["patch"] == "interpolate"
    if interpolate and strength > 1:
        raise RecipeError(f"strength: got {strength:g}, expected 0 to 1 with 'patch: interpolate'")
    roles = {model: values["role"] for model, values in own.items() if "role" in values}
    experts = cast(roles)
    weight = {model: float(own[model]["weight"]) for model in roles}
    fisher = {model: own[model].get("fisher", "") for model in roles}
    utility = [changes[key].scaled(weight[key]) for key in experts.utility if key in changes and weight[key]]
    terms: list[Pair | Tensor] = list(utility)
    least = float(shared["min_coverage"])
    coverage.note(numbers.name, coverage.EQUAL, least=least)
    for key in experts.patched if strength else ():
        patch = [changes[key]] if key in changes else []
        patch += [pair.scaled(-1.0) for pair in utility] if interpolate else []
        patch = [part for part in patch if part.energy() > 0]
        if not patch or weight[key] == 0:
            continue
        others = experts.priced_by(key)
        skill = [changes[other].scaled(weight[other]) for other in others if other in changes]
        if shared["filter"] == "data_free":
            whole = stacked(patch).dense()
            utility_change = stacked(skill).dense() if skill else torch.zeros_like(whole)
            kept = data_free(whole, utility_change, PatchFilter.of(shared).settings)
            terms.append(strength * weight[key] * kept)
            coverage.note(numbers.name, coverage.FILTERED, stacked(patch).energy(), least)
            continue
        (harm,) = sources([key], fisher)
        benign = experts.price(key, fisher, weight)
        terms += _filtered(numbers, stacked(patch), harm, benign, strength * weight[key])
    return terms


def _filtered(
    numbers: Numbers, patch: Pair, harm: Source, benign: Side, strength: float
) -> list[Pair | Tensor]:
    """Return the filtered patch times `strength`; without statistics as ``on_missing`` says."""
    apply, least = PatchFilter.of(numbers.shared), float(numbers.shared["min_coverage"])
    layer = apply.layer(numbers.name, harm, benign)
    if layer is None:
        whole = apply.on_missing == "add"
        coverage.note(numbers.name, coverage.WHOLE if whole else coverage.KEPT, patch.energy(), least)
        return [patch.scaled(strength)] if whole else []
    coverage.note(numbers.name, coverage.FILTERED, patch.energy(), least)
    if layer.keeps_rank:
        return [Pair(*layer.factors(patch.left, patch.right)).scaled(strength)]
    return [strength * layer.dense(patch.dense())]


def _of(baseline: Baseline) -> Terms:
    """Return a baseline's merge of adapters."""

    def terms(numbers: Numbers, changes: Mapping[ModelReference, Pair]) -> list[Pair | Tensor]:
        roles = {model: values["role"] for model, values in _sorted(numbers) if "role" in values}
        fault = baseline.roles.fault(baseline.row.name, list(roles.values())) if baseline.roles else None
        if fault:
            raise RecipeError(f"models: {fault}")
        factors = {model: (pair.left, pair.right) for model, pair in changes.items()}
        parts = {role: Part(str(m), numbers.own[m], factors.get(m)) for m, role in roles.items()}
        return [Pair(*each) for each in baseline.factors(numbers.name, numbers.shared, parts)]  # type: ignore

    return terms


def _sorted(numbers: Numbers) -> list[tuple[ModelReference, Mapping]]:
    """Return the models in an order that is not the recipe's."""
    return sorted(numbers.own.items(), key=lambda item: str(item[0]))


def _weighted(
    weights: Mapping[ModelReference, float], changes: Mapping[ModelReference, Pair]
) -> list[Pair | Tensor]:
    return [changes[model].scaled(w) for model, w in weights.items() if w != 0 and model in changes]


METHODS: dict[str, Terms] = {
    "sst": sst,
    "task_arithmetic": task_arithmetic,
    "linear": linear,
    **{baseline.row.name: _of(baseline) for baseline in baselines() if baseline.factors},
}
