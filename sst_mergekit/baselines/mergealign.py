"""MergeAlign (Thakkar et al. 2024, arXiv:2411.06824): domain and alignment vectors, interpolated.

``theta = theta_0 + interpolate(t_domain, t_align)`` with ``t_x = theta_x - theta_0``: a domain expert
and an aligned model of the same base. ``linear`` is ``(1 - s) t_domain + s t_align``, the simple
interpolation of the delta parameters that the paper's abstract describes. ``slerp`` goes along the
great circle between them, tensor by tensor; it is offered beside it and not claimed to be the paper's.

Needs a domain and an aligned model of one base; no data.
"""

import math
from typing import Annotated

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import Baseline, in_roles
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import Roles, by_role
from sst_mergekit.baselines.shared.tensors import cosine, difference, wide

STRENGTH = 0.5
INTERPOLATIONS = ("linear", "slerp")


def mergealign(domain: Tensor, alignment: Tensor, strength: float, interpolation: str = "linear") -> Tensor:
    """Return the interpolated vector, of the inputs' shape, float64.

    Args:
        domain, alignment: t_domain and t_align.
        strength: s in [0, 1]; 0 is the domain vector.
        interpolation: one of ``INTERPOLATIONS``.
    """
    domain, alignment = domain.to(torch.float64), alignment.to(torch.float64)
    if interpolation == "linear":
        return (1 - strength) * domain + strength * alignment
    return slerp(domain, alignment, strength)


def slerp(one: Tensor, other: Tensor, share: float) -> Tensor:
    """Return ``(sin((1-s)w) a + sin(s w) b) / sin w``, w the angle between a and b (Shoemake 1985).

    Linear where a and b are (nearly) parallel or one is zero, for then there is no great circle.
    """
    angle = math.acos(max(-1.0, min(1.0, cosine(one, other))))
    if math.sin(angle) < 1e-6 or not bool(one.any()) or not bool(other.any()):
        return (1 - share) * one + share * other
    return (math.sin((1 - share) * angle) * one + math.sin(share * angle) * other) / math.sin(angle)


ROLES = Roles({"utility": (1, 1), "safety": (1, 1)})


def merge_method() -> object:
    """Return the mergekit method: domain and alignment vectors, interpolated."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        role: host.PerNonBase[host.Role],
        strength: host.Share = STRENGTH,
        interpolation: Annotated[str, host.choice("interpolation", INTERPOLATIONS)] = "linear",
    ) -> Tensor:
        """Return ``theta_0 + interpolate(theta_u - theta_0, theta_s - theta_0)``, the share of the second."""
        models = by_role("mergealign", ROLES, group, role)
        utility = models["utility"].tensor  # type: ignore[union-attr]
        if strength == 0:
            return utility
        domain = difference(models["utility"], models["base"])
        alignment = difference(models["safety"], models["base"])
        if torch.equal(domain, alignment):
            return utility
        merged = wide(models["base"]) + mergealign(domain, alignment, strength, interpolation)
        return merged.to(utility.dtype)

    return host.hosted("mergealign", "MergeAlign", "2411.06824", models=2)(merge)


ROW = Method("mergealign", "MergeAlign", 0.5, None, in_roles("mergealign", "safety"), most=1.0)
BASELINES = (Baseline(ROW, merge_method, ROLES),)
