"""DARE on singular components: whole directions of a task vector are dropped, not single entries.

``D = sum_j s_j u_j v_jᵀ``; each of the first r components is kept with probability 1 - p and divided by
it, so that the expectation is D's best approximation of rank r. DARE (Yu et al. 2023, arXiv:2311.03099)
does that to single entries; no paper is known to us that defines this form, which a baseline named
"DARE, by subspaces from an SVD" stands for here. Merged as in Task Arithmetic.

Needs task vectors of one base; no data. Vectors (norms, biases) have one component only and are kept.
"""

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import ADDED, Baseline
from sst_mergekit.baselines.shared.method import Experts, Method, Settings, recipe_of
from sst_mergekit.baselines.shared.roles import ordered
from sst_mergekit.baselines.shared.tensors import difference, result_dtype, wide

DROP = 0.5
ALL = 0


def dare_svd(delta: Tensor, drop: float, rank: int, generator: torch.Generator) -> Tensor:
    """Return the task vector with singular components dropped at random, float64.

    Args:
        delta: D [d_out, d_in]; of any other number of axes it is kept.
        drop: p in [0, 1).
        rank: r, the leading components that are kept at all; 0 for all.
        generator: of the CPU; the draws belong to the components in descending order.
    """
    delta = delta.to(torch.float64)
    if delta.ndim != 2 or not bool(delta.any()) or (drop == 0 and rank == ALL):
        return delta
    u, s, vt = torch.linalg.svd(delta, full_matrices=False)
    kept = torch.rand(len(s), generator=generator, dtype=torch.float64) >= drop
    if rank != ALL:
        kept[rank:] = False
    return u @ ((s * kept.to(s.device) / (1 - drop))[:, None] * vt)


def merge_method() -> object:
    """Return the mergekit method: task vectors with singular components dropped at random."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        weight: host.PerNonBase[host.Weight] = 1.0,  # type: ignore[assignment]
        drop: host.Drop = DROP,
        rank: host.Rank = ALL,
        seed: int = 0,
    ) -> Tensor:
        """Return ``theta_0 + sum_i w_i DARE_SVD(theta_i - theta_0)``.

        The draws depend on the seed, the tensor's name and the model as the recipe names it, and on nothing
        else.
        """
        entries = ordered(group)
        result = wide(group.base)
        for entry in entries:
            draws = host.generator(seed, group, str(entry.id))
            delta = difference(entry, group.base)
            result = result + weight[entry.id] * dare_svd(delta, drop, rank, draws)
        return result.to(result_dtype(entries))

    return host.hosted("dare_svd", "DARE on singular components", None, models=1)(merge)


def recipe(experts: Experts, settings: Settings) -> dict:
    """Return a recipe in which strength is the safety expert's weight."""
    utility, safety = {"weight": 1.0}, {"weight": settings["strength"]}
    return recipe_of("dare_svd", experts, utility, safety, {"drop": settings["drop"]})


ROW = Method("dare_svd", "DARE on singular components", ADDED, ("drop", (0.3, 0.5)), recipe)
BASELINES = (Baseline(ROW, merge_method),)
