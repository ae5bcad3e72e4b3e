"""``null_space``: the safety patch, where it cannot reach what the protected inputs are made of.

The first stage of RAIN-Merging (Huang et al. 2026, arXiv:2602.22538): a task vector is projected on the
null space of the features of tokens that must stay as they are, so that the layer's outputs on them stay.

    ``theta = theta_u + strength * (theta_s - theta_0) P``,  ``P = I - V V^T``,

V the leading eigenvectors of ``A = E[x x^T]``, the second moment of the utility expert's inputs on benign
data. As many are taken as hold a share ``energy`` of A's trace. P stands on the right of a weight
[d_out, d_in], so a low-rank patch keeps its rank. It is the hard limit of the right side of ``sst``'s filter.

Needs ``activation`` statistics of the utility expert on benign data.

Departs from the paper, which protects the thinking tokens of a reasoning model: here every position of the
data counts. The authors' code forms P from few features Phi, ``I - Phi^T (Phi Phi^T + lambda I)^-1 Phi`` with
lambda 1e-4. A moment over all positions has full rank and no null space, so ``energy`` cuts its spectrum
instead. They constrain single readouts of a head or a token, here the layer's whole output stays. Their
second stage, coefficients for each module by attention on instructions, is left out.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import Baseline, Needs, Part, in_roles
from sst_mergekit.baselines.shared.measured import measured, source_of, statistics_of
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.roles import Roles, by_role
from sst_mergekit.baselines.shared.tensors import difference, wide
from sst_mergekit.core.factor import condition

ENERGY = 0.99
ROLES = Roles({"utility": (1, 1), "safety": (1, 1)})
STATISTICS = {"fisher": Needs("activation", "utility")}


def held(values: Tensor, energy: float) -> Tensor:
    """Return which eigenvalues [n] hold a share of their sum, the largest first: a mask [n].

    Args:
        values: of a positive semidefinite matrix, in any order; what is negative or rounding counts as 0.
        energy: the share, in [0, 1]; 0 takes none, 1 all that are not 0.
    """
    smallest = len(values) * torch.finfo(values.dtype).eps * values.max()
    ascending, order = torch.where(values > smallest, values, 0).sort(stable=True)
    up_to_each = ascending.cumsum(0)
    mask = torch.zeros_like(values, dtype=torch.bool)
    mask[order] = up_to_each > (1 - energy) * up_to_each[-1]
    return mask


def null_space(patch: Tensor, moment: Tensor, energy: float = ENERGY) -> Tensor:
    """Return ``D (I - V V^T)`` [d_out, d_in], float64.

    Args:
        patch: D [d_out, d_in], or the right factor [r, d_in] of a low-rank one.
        moment: A of the protected inputs, dense [d_in, d_in] or diagonal [d_in].
        energy: share of the trace of A that V holds, in [0, 1].

    Raises:
        ValueError: the moment is not finite, or its trace is not above 0.
    """
    patch, moment = patch.to(torch.float64), condition(moment, 0.0)
    if moment.ndim == 1:
        return patch * ~held(moment, energy)
    values, vectors = torch.linalg.eigh(moment)
    top = vectors[:, held(values, energy)]
    return patch - (patch @ top) @ top.T


def merge_method() -> object:
    """Return the mergekit method of full weights."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        role: host.PerNonBase[host.Role],
        fisher: host.PerNonBase[str] = "",  # type: ignore[assignment]
        energy: Annotated[float, host.share("energy")] = ENERGY,
        strength: host.Strength = 1.0,
        on_missing: host.OnMissing = "error",
    ) -> Tensor:
        """Return ``theta_u + strength * (theta_s - theta_0) P``.

        Energy 0 is Task Arithmetic; strength 0 is the utility expert bit for bit. A tensor without statistics
        that the safety expert changes is an error, or with ``on_missing: keep`` the utility expert's own, as
        in the authors' code.
        """
        models = by_role("null_space", ROLES, group, role)
        utility = models["utility"].tensor  # type: ignore[union-attr]
        patch = difference(models["safety"], models["base"])
        if strength == 0 or not bool(patch.any()):
            return utility
        if energy > 0:
            statistics = statistics_of(group, models["utility"], fisher, ("input",), on_missing)
            if statistics is None:
                return utility
            with statistics.at_fault():
                kept = null_space(statistics.oriented(patch), statistics.tensors["input"], energy)
            patch = statistics.oriented(kept)
        return (wide(models["utility"]) + strength * patch).to(utility.dtype)

    return host.hosted("null_space", "Null-space projection of RAIN-Merging", "2602.22538", models=2)(merge)


def factors(name: str, shared: Mapping[str, Any], parts: Mapping[str, Part]) -> list[tuple[Tensor, Tensor]]:
    """Return the utility expert's change and ``strength * D P`` of the safety expert's: low-rank both."""
    utility, patch = parts["utility"], parts["safety"].change
    kept = [utility.change] if utility.change else []
    strength, energy = float(shared["strength"]), float(shared["energy"])
    if patch is None or strength == 0:
        return kept
    left, right = patch
    if energy > 0:
        source = source_of(utility.model, utility.own.get("fisher", ""))
        shape, device = (left.shape[0], right.shape[1]), str(right.device)
        statistics = measured(name, shape, device, source, ("input",), shared["on_missing"])
        if statistics is None:
            return kept
        with statistics.at_fault():
            right = null_space(right, statistics.tensors["input"], energy)
    return [*kept, (left * strength, right)]


RECIPE = in_roles("null_space", "safety", STATISTICS)
ROW = Method("null_space", "null space of benign inputs", 0.9, ("energy", (0.9, 0.99)), RECIPE)
BASELINES = (Baseline(ROW, merge_method, ROLES, STATISTICS, factors),)
