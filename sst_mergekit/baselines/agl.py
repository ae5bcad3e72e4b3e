"""AlignGuard-LoRA's decomposition after the fact (Das et al. 2025, arXiv:2508.02079).

The paper splits a LoRA update while it is trained, ``D = D_A + D_T``, ``D_A = P_A D`` and
``D_T = (I - P_A) D``, where P_A projects on the leading eigenvectors of the Fisher matrix of alignment,
and its loss penalises D_A by ``lambda |F^(1/2) D_A|^2``. This is not that training. It is the closed form
of what is left when the task's loss is replaced by the distance to an update that is trained already:

    ``min_X 1/2 |X - D|^2 + lambda/2 |F^(1/2) P_A X|^2``, so ``X = (I - P_A) D + (I + lambda F)^-1 P_A D``.

F is the Kronecker factor G of the alignment's Fisher at the layer's output, scaled to mean eigenvalue 1;
P_A acts on the rows of a weight [d_out, d_in]. Left out: the paper's penalty on D_T and its collision
terms (Riemannian overlap and geodesic separation), which have no closed form. How the paper finds P_A was
not checked in its text.

Needs ``output`` statistics of the aligned model on alignment data.
"""

import math
from typing import Annotated

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import ADDED, Baseline, Needs, in_roles
from sst_mergekit.baselines.shared.measured import statistics_of
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import Roles, by_role
from sst_mergekit.baselines.shared.tensors import difference, wide
from sst_mergekit.core.factor import condition

PENALTY = 1.0
DENSITY = 0.1


def critical_directions(fisher: Tensor, density: float) -> tuple[Tensor, Tensor]:
    """Return the top eigenvalues [m] of the Fisher, mean eigenvalue 1, and their vectors [n, m].

    Args:
        fisher: G, dense [n, n] or diagonal [n].
        density: share of directions, in (0, 1]; ``m = ceil(density * n)``.

    Raises:
        ValueError: the trace is not a finite positive number.
    """
    scaled = condition(fisher, 0.0)
    count = math.ceil(density * len(scaled))
    if scaled.ndim == 1:
        values, order = scaled.sort(descending=True, stable=True)
        vectors = torch.zeros(len(scaled), count, dtype=torch.float64, device=fisher.device)
        vectors[order[:count], torch.arange(count, device=fisher.device)] = 1
        return values[:count], vectors
    values, vectors = torch.linalg.eigh(scaled)
    return values[-count:].flip(0).clamp(min=0), vectors[:, -count:].flip(1)


def agl(update: Tensor, fisher: Tensor, penalty: float = PENALTY, density: float = DENSITY) -> Tensor:
    """Return ``(I - P_A) D + (I + lambda F)^-1 P_A D`` [d_out, d_in], float64.

    Args:
        update: D [d_out, d_in], of the fine-tune on a task.
        fisher: G, [d_out, d_out] or [d_out].
        penalty: lambda >= 0; 0 keeps the update.
        density: share of directions called alignment-critical, in (0, 1].
    """
    update = update.to(torch.float64)
    if penalty == 0:
        return update
    values, vectors = critical_directions(fisher, density)
    removed = penalty * values / (1 + penalty * values)
    return update - vectors @ (removed[:, None] * (vectors.T @ update))


ROLES = Roles({"utility": (1, 1), "safety": (1, 1)})
STATISTICS = {"fisher": Needs("kronecker", "safety")}


def merge_method() -> object:
    """Return the mergekit method: the utility expert's update, without what the alignment's Fisher guards."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        role: host.PerNonBase[host.Role],
        fisher: host.PerNonBase[str] = "",  # type: ignore[assignment]
        penalty: Annotated[float, host.not_negative("penalty")] = PENALTY,
        density: host.Density = DENSITY,
        strength: host.Strength = 1.0,
        on_missing: host.OnMissing = "error",
    ) -> Tensor:
        """Return ``theta_0 + strength * (theta_s - theta_0) + X``, X the guarded ``theta_u - theta_0``.

        Penalty 0 is Task Arithmetic, and with strength 0 also the utility expert bit for bit. A tensor
        without statistics that the utility expert changes is an error, or with ``on_missing: keep`` the
        utility expert's own.
        """
        models = by_role("agl", ROLES, group, role)
        utility = models["utility"].tensor  # type: ignore[union-attr]
        update = difference(models["utility"], models["base"])
        safety = difference(models["safety"], models["base"])
        if penalty > 0 and bool(update.any()):
            statistics = statistics_of(group, models["safety"], fisher, ("output",), on_missing)
            if statistics is None:
                return utility
            with statistics.at_fault():
                kept = agl(statistics.oriented(update), statistics.tensors["output"], penalty, density)
            update = statistics.oriented(kept)
        elif strength == 0 or not bool(safety.any()):
            return utility
        return (wide(models["base"]) + strength * safety + update).to(utility.dtype)

    return host.hosted("agl", "AlignGuard-LoRA, after the fact", "2508.02079", models=2)(merge)


RECIPE = in_roles("agl", "safety", STATISTICS)
NAMES = ("AGL", "AlignGuard-LoRA")
ROW = Method("agl", "AlignGuard-LoRA, post hoc", ADDED, ("penalty", (0.3, 1.0)), RECIPE, published=NAMES)
BASELINES = (Baseline(ROW, merge_method, ROLES, STATISTICS),)
