"""LED-Merging (Ma et al. 2025, arXiv:2502.16770): Location, Election and Disjoint masks of task vectors.

Location: weights are scored by ``|w dL/dw|`` (SNIP) on a task's data, in the base and in the expert.
Election: of expert i's task vector those entries count that are among the top share r_i by both scores.
Disjoint: entries elected by several experts are taken from none. Merged: ``theta_0 + s sum_i l_i m_i t_i``.

Needs ``diagonal`` statistics of every expert and of the base model, both on that expert's data. Departs
from the paper in the score: diagonal statistics are means of squared gradients, so the score is
``|w| sqrt(E[g^2])``, the root mean square over samples where the paper has the mean of ``|w g|``.
Shares are of each tensor, as in the authors' code. A score of 0 is never elected.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.average import average
from sst_mergekit.baselines.shared.baseline import ADDED, Baseline, Needs, with_statistics
from sst_mergekit.baselines.shared.measured import statistics_of
from sst_mergekit.baselines.shared.method import Experts, Method, Settings, recipe_of
from sst_mergekit.baselines.shared.roles import ordered
from sst_mergekit.baselines.shared.tensors import all_equal, difference, result_dtype, wide

DENSITY = 0.5


def score(weight: Tensor, fisher: Tensor) -> Tensor:
    """Return ``|w| sqrt(F)``, float64, of a weight and its diagonal Fisher of the same shape."""
    return weight.to(torch.float64).abs() * fisher.to(torch.float64).sqrt()


def located(scores: Tensor, density: float) -> Tensor:
    """Return where the scores are among the largest ``int(density * n)``; ties at the threshold all are.

    Args:
        scores: any shape, >= 0.
        density: share r in (0, 1]; at least one entry is located.
    """
    count = max(1, int(density * scores.numel()))
    threshold = scores.flatten().kthvalue(scores.numel() - count + 1).values
    return (scores >= threshold) & (scores > 0)


def disjoint(elected: Sequence[Tensor]) -> list[Tensor]:
    """Return each mask without the entries that any other mask has."""
    counts = torch.stack([mask.to(torch.int64) for mask in elected]).sum(0)
    return [mask & (counts == 1) for mask in elected]


def led(
    vectors: Sequence[Tensor],
    scores: Sequence[tuple[Tensor, Tensor]],
    densities: Sequence[float],
    weights: Sequence[float],
) -> Tensor:
    """Return ``sum_i l_i m_i t_i``, float64.

    Args:
        vectors: task vectors t_i.
        scores: of each expert on its data: (the base model's, its own), of the vector's shape.
        densities: r_i in (0, 1].
        weights: l_i.
    """
    elected = [
        located(base, density) & located(own, density)
        for (base, own), density in zip(scores, densities, strict=True)
    ]
    total = torch.zeros_like(vectors[0], dtype=torch.float64)
    for vector, mask, weight in zip(vectors, disjoint(elected), weights, strict=True):
        total += weight * mask * vector.to(torch.float64)
    return total


STATISTICS = {"fisher": Needs("diagonal"), "fisher_base": Needs("diagonal", of_base=True)}
MISSING = "set 'on_missing: average' to average the task vectors there"


def merge_method() -> object:
    """Return the mergekit method: disjoint masks of the task vectors' important weights."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        fisher: host.PerNonBase[str] = "",  # type: ignore[assignment]
        fisher_base: host.PerNonBase[str] = "",  # type: ignore[assignment]
        weight: host.PerNonBase[host.Weight] = 1.0,  # type: ignore[assignment]
        density: host.PerNonBase[host.Density] = DENSITY,  # type: ignore[assignment]
        strength: host.Strength = 1.0,
        on_missing: host.OrAverage = "error",
    ) -> Tensor:
        """Return ``theta_0 + strength * sum_i w_i m_i (theta_i - theta_0)`` with disjoint masks m_i.

        Args:
            group: the models' tensors.
            fisher, fisher_base: ``diagonal`` statistics of the expert, and of the base model on its data.
            weight, density: of each expert: l_i and the share r_i.
            strength: of the merged task vector.
            on_missing: a changed tensor without statistics is an error, or ``average``: the mean task
                vector of the experts, times strength.
        """
        entries = ordered(group)
        if all_equal([group.base, *entries]):  # type: ignore[list-item]
            return entries[0].tensor
        vectors = [difference(entry, group.base) for entry in entries]

        scores = []
        for entry in entries:
            pair = []
            for owner, named, by in ((group.base, fisher_base, "fisher_base"), (entry, fisher, "fisher")):
                found = statistics_of(group, entry, named, ("diagonal",), on_missing, MISSING, by)
                if found is not None:
                    pair.append(score(wide(owner), found.oriented(found.tensors["diagonal"])))
            scores += [(pair[0], pair[1])] if len(pair) == 2 else []
        if len(scores) < len(entries):
            merged = average(vectors, [1.0] * len(vectors))
        else:
            weights, densities = ([each[entry.id] for entry in entries] for each in (weight, density))
            merged = led(vectors, scores, densities, weights)
        return (wide(group.base) + strength * merged).to(result_dtype(entries))

    return host.hosted("led", "LED-Merging", "2502.16770", models=2)(merge)


def recipe(experts: Experts, settings: Settings) -> dict:
    """Return a recipe in which strength is the safety expert's weight."""
    density = settings["density"]
    utility, safety = ({"weight": w, "density": density} for w in (1.0, settings["strength"]))
    body = recipe_of("led", experts, utility, safety, {"on_missing": "average"})
    return with_statistics(body, experts, STATISTICS)


ROW = Method("led", "LED-Merging", ADDED, ("density", (0.1, 0.5)), recipe)
BASELINES = (Baseline(ROW, merge_method, statistics=STATISTICS),)
