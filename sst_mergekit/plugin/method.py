"""The mergekit method ``sst``: reads the roles, filters each safety patch, adds it to the utility expert."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorEntry, TensorGroup
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
    utility, safety = _experts(group, role)
    if strength == 0:
        return utility.tensor
    start = utility.tensor if patch == "interpolate" else group.base.tensor  # type: ignore[union-attr]
    settings = FilterSettings(filter=filter, cost=cost, density=density, damping=damping, seed=seed)
    patch_filter = PatchFilter(geometry, settings, on_missing)
    name = group.metadata.name or ""
    total = None
    for expert in safety:
        delta = _wide(expert.tensor) - _wide(start)
        kept = patch_filter(name, delta, _statistics(expert, fisher), _statistics(utility, fisher))
        total = kept if total is None else total + kept
    if total is None or not bool(total.any()):
        return utility.tensor
    return (_wide(utility.tensor) + strength * total).to(utility.tensor.dtype)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in float32, or float64 if it is that already."""
    return tensor if tensor.dtype == torch.float64 else tensor.to(torch.float32)


def _experts(group: TensorGroup, role: PerNonBase[Role]) -> tuple[TensorEntry, list[TensorEntry]]:
    """Return the utility expert and the safety experts, in an order that is always the same."""
    by_role: dict[str, list[TensorEntry]] = {"utility": [], "safety": []}
    for entry in group.non_base:
        by_role[role[entry.id]].append(entry)
    if len(by_role["utility"]) != 1 or not by_role["safety"]:
        found = {name: len(entries) for name, entries in by_role.items()}
        raise RecipeError(
            f"models: method sst needs one 'role: utility' and at least one 'role: safety', got {found}"
        )
    return by_role["utility"][0], sorted(by_role["safety"], key=lambda entry: str(entry.id))


def _statistics(entry: TensorEntry, fisher: PerNonBase[str]) -> str:
    """Return where the statistics of an expert are."""
    source = fisher[entry.id]
    if not source:
        raise RecipeError(
            f"models: '{entry.id}' has no 'parameters.fisher'; "
            f"measure it with 'sst-mergekit fisher --model {entry.id}'"
        )
    return source
