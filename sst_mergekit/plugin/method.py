"""The mergekit method ``sst``: reads the roles, filters each patch, adds it to the utility experts."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorEntry, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.core import settings as defaults
from sst_mergekit.core.filtering import data_free
from sst_mergekit.core.settings import DEFAULTS, FilterSettings
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin import coverage
from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import (
    Balance,
    Cost,
    Damping,
    Density,
    FilterName,
    GeometryName,
    LayerWeight,
    MinCoverage,
    OnMissing,
    Patch,
    Role,
    Strength,
    Weight,
)
from sst_mergekit.plugin.patching import PatchFilter
from sst_mergekit.plugin.roles import cast, sources


@merge_method(  # pyright: ignore[reportArgumentType]  (its return type is the union of two protocols)
    name="sst",
    pretty_name="SST-Merge",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
@finite
def sst(
    group: TensorGroup,
    role: PerNonBase[Role],
    fisher: PerNonBase[str] = "",  # type: ignore[assignment]
    weight: PerNonBase[Weight] = 1.0,  # type: ignore[assignment]
    geometry: GeometryName = defaults.GEOMETRY,
    filter: FilterName = DEFAULTS.filter,  # noqa: A002  (the recipe's key)
    cost: Cost = DEFAULTS.cost,
    density: Density = DEFAULTS.density,
    strength: Strength = defaults.STRENGTH,
    damping: Damping = DEFAULTS.damping,
    balance: Balance = defaults.BALANCE,
    layer_weight: LayerWeight = 1.0,
    patch: Patch = defaults.PATCH,
    on_missing: OnMissing = defaults.ON_MISSING,
    min_coverage: MinCoverage = defaults.MIN_COVERAGE,
    seed: int = DEFAULTS.seed,
) -> torch.Tensor:
    """Return ``theta_u + strength * sum of weight * filter(theta_s - theta_0)`` for one weight, in its dtype.

    theta_u is the utility expert, or ``theta_0 + sum of weight * (theta_i - theta_0)`` over several. With
    ``patch: interpolate`` the patch is ``theta_s - theta_u`` and strength lies in [0, 1]. With ``role:
    expert`` for every model, each one's patch is filtered against the statistics of all the others and the
    filtered patches are added to theta_0. Patches are computed and filtered in float32 or wider; the order of
    the models does not matter.
    """
    if patch == "interpolate" and strength > 1:
        raise RecipeError(f"strength: got {strength:g}, expected 0 to 1 with 'patch: interpolate'")
    entries = {entry.id: entry for entry in group.non_base}
    experts = cast({key: role[key] for key in entries})
    settings = FilterSettings(filter, cost, density, damping, seed)
    patch_filter = PatchFilter(geometry, settings, on_missing, balance == "global", layer_weight)
    base: torch.Tensor = group.base.tensor  # type: ignore[union-attr]
    utility = _combined(base, [entries[key] for key in experts.utility], weight)
    name = group.metadata.name or ""
    coverage.note(name, coverage.EQUAL, least=min_coverage)
    if strength == 0:
        return utility
    start = utility if patch == "interpolate" else base
    total = None
    for key in experts.patched:
        if weight[key] == 0:
            continue
        if torch.equal(entries[key].tensor, start):
            continue
        delta = _wide(entries[key].tensor) - _wide(start)
        others = experts.priced_by(key)
        if filter == "data_free":
            skill = _wide(_combined(base, [entries[other] for other in others], weight)) - _wide(base)
            kept = data_free(delta, skill, settings)
        else:
            (harm,) = sources([key], fisher)
            kept = patch_filter(name, delta, harm, experts.price(key, fisher, weight))
        fate = coverage.KEPT if kept is None else coverage.WHOLE if kept is delta else coverage.FILTERED
        coverage.note(name, fate, delta, min_coverage)
        if kept is not None:
            total = _plus(_wide(utility) if total is None else total, strength * weight[key], kept)
    return utility if total is None else total.to(utility.dtype)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in float32, or float64 if it is that already."""
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)


def _plus(start: torch.Tensor, factor: float, change: torch.Tensor) -> torch.Tensor:
    """Return ``start + factor * change``, in the memory of ``change`` where it has the dtype for it."""
    out = change if change.dtype == start.dtype else None
    return torch.add(start, change, alpha=factor, out=out)


def _combined(base: torch.Tensor, experts: list[TensorEntry], weight: PerNonBase[Weight]) -> torch.Tensor:
    """Return base plus the weighted task vectors; a single expert of weight 1 is returned as it is."""
    if not experts:
        return base
    if len(experts) == 1 and weight[experts[0].id] == 1:
        return experts[0].tensor
    total = _wide(base).clone()
    for expert in experts:
        total += weight[expert.id] * (_wide(expert.tensor) - _wide(base))
    return total.to(base.dtype)
