"""The mergekit method ``agl``: the utility expert's update, without what the alignment's Fisher guards."""

import torch
from mergekit.merge_methods.base import BasePolicy, InputContract, PerNonBase, TensorEntry, TensorGroup
from mergekit.merge_methods.easy_define import merge_method

from sst_mergekit.errors import StatisticsError
from sst_mergekit.plugin.finite import finite
from sst_mergekit.plugin.parameters import Density, OnMissing, Strength
from sst_mergekit.plugin.rivals.measured import measured, source_of, without
from sst_mergekit.plugin.rivals.parameters import Penalty, Role
from sst_mergekit.plugin.rivals.roles import Roles, by_role
from sst_mergekit.plugin.rivals.tensors import difference, wide
from sst_mergekit.rivals import agl as rival

ROLES = Roles({"utility": (1, 1), "safety": (1, 1)})


@merge_method(  # pyright: ignore[reportArgumentType]
    name="agl",
    pretty_name="AlignGuard-LoRA, after the fact",
    reference_url="https://arxiv.org/abs/2508.02079",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2),
)
@finite
def agl(
    group: TensorGroup,
    role: PerNonBase[Role],
    fisher: PerNonBase[str] = "",  # type: ignore[assignment]
    penalty: Penalty = rival.PENALTY,
    density: Density = rival.DENSITY,
    strength: Strength = 1.0,
    on_missing: OnMissing = "error",
) -> torch.Tensor:
    """Return ``theta_0 + strength * (theta_s - theta_0) + X``, X the guarded ``theta_u - theta_0``.

    Penalty 0 is Task Arithmetic, and with strength 0 also the utility expert bit for bit. A tensor
    without statistics that the utility expert changes is an error, or with ``on_missing: keep`` the
    utility expert's own.
    """
    models = by_role("agl", ROLES, group, role)
    utility = models["utility"].tensor  # type: ignore[union-attr]
    update = difference(models["utility"], models["base"])
    safety = difference(models["safety"], models["base"])
    guarded = update
    if penalty > 0 and bool(update.any()):
        found = _guarded(group, models["safety"], fisher, update, penalty, density)  # type: ignore[arg-type]
        if found is None and on_missing == "keep":
            return utility
        if found is None:
            source = source_of(models["safety"], fisher)  # type: ignore[arg-type]
            hint = "set 'on_missing: keep' to keep the utility expert's weights there"
            raise without(group.metadata.name or "", source, hint)
        guarded = found
    if guarded is update and (strength == 0 or not bool(safety.any())):
        return utility
    return (wide(models["base"]) + strength * safety + guarded).to(utility.dtype)


def _guarded(
    group: TensorGroup,
    safety: TensorEntry,
    fisher: PerNonBase[str],
    update: torch.Tensor,
    penalty: float,
    density: float,
) -> torch.Tensor | None:
    """Return the update with its alignment-critical part shrunk, or None without statistics."""
    name, source = group.metadata.name or "", source_of(safety, fisher)
    statistics = measured(name, safety.tensor, source, ("output",))
    if statistics is None:
        return None
    try:
        kept = rival.agl(statistics.oriented(update), statistics.tensors["output"], penalty, density)
    except ValueError as error:
        raise StatisticsError(f"{name}: {error} (statistics: {source})") from None
    return statistics.oriented(kept)
