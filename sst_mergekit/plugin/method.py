"""The mergekit method ``sst``: reads the roles, filters each safety patch, adds it to the utility expert."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.core import settings as defaults
from sst_mergekit.core.settings import DEFAULTS, FilterSettings
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin.parameters import (
    Cost,
    Damping,
    Density,
    FilterName,
    GeometryName,
    OnMissing,
    Patch,
    Role,
    Strength,
)
from sst_mergekit.plugin.patching import PatchFilter
from sst_mergekit.plugin.roles import by_role, statistics_of


@merge_method(  # pyright: ignore[reportArgumentType]  (its return type is the union of two protocols)
    name="sst",
    pretty_name="SST-Merge",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
def sst(
    group: TensorGroup,
    role: PerNonBase[Role],
    fisher: PerNonBase[str] = "",  # type: ignore[assignment]
    geometry: GeometryName = defaults.GEOMETRY,
    filter: FilterName = DEFAULTS.filter,  # noqa: A002  (the recipe's key)
    cost: Cost = DEFAULTS.cost,
    density: Density = DEFAULTS.density,
    strength: Strength = defaults.STRENGTH,
    damping: Damping = DEFAULTS.damping,
    patch: Patch = defaults.PATCH,
    on_missing: OnMissing = defaults.ON_MISSING,
    seed: int = DEFAULTS.seed,
) -> torch.Tensor:
    """Return ``theta_u + strength * sum of filter(theta_s - theta_0)`` for one weight, in its dtype.

    With ``patch: interpolate`` the patch is ``theta_s - theta_u`` and strength lies in [0, 1].
    Patches are computed in float32 or wider and filtered in float64; the experts' order does
    not matter.
    """
    if patch == "interpolate" and strength > 1:
        raise RecipeError(f"strength: got {strength:g}, expected 0 to 1 with 'patch: interpolate'")
    entries = {entry.id: entry for entry in group.non_base}
    one, others = by_role({key: role[key] for key in entries})
    utility, safety = entries[one], [entries[key] for key in others]
    if strength == 0:
        return utility.tensor
    start = utility.tensor if patch == "interpolate" else group.base.tensor  # type: ignore[union-attr]
    settings = FilterSettings(filter=filter, cost=cost, density=density, damping=damping, seed=seed)
    patch_filter = PatchFilter(geometry, settings, on_missing)
    name = group.metadata.name or ""
    total = None
    for expert in safety:
        delta = _wide(expert.tensor) - _wide(start)
        kept = patch_filter(name, delta, statistics_of(expert.id, fisher), statistics_of(one, fisher))
        total = kept if total is None else total + kept
    if total is None or not bool(total.any()):
        return utility.tensor
    return (_wide(utility.tensor) + strength * total).to(utility.tensor.dtype)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in float32, or float64 if it is that already."""
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)
