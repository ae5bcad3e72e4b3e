"""``safe_delta``: fine-tuned entries are kept under a budget of harm to safety, and the harm compensated.

Safe Delta (Lu et al. 2025, arXiv:2505.12038). For ``D = W_tuned - W_aligned`` and ``H = E[x x^T]``, x the
aligned model's inputs on safety data, the output error of changing one entry alone, the others left free to
make up for it, is that of the optimal brain surgeon, ``D_ij^2 / (2 [H^-1]_jj)``. The gain in skill is taken
to be ``D_ij^2``, so the best ratio has the largest ``[H^-1]_jj``: entries are kept in that order until the
summed error reaches a budget. The entries that are not kept are the aligned model's plus a compensation,
``-(change of j / [H^-1]_jj) [H^-1]_j`` for each kept column j.

As in the authors' code (github.com/ColinLu50/SafeDelta, made from SparseGPT): columns are taken from left to
right, so ``[H^-1]_jj`` is that of the columns from j on, the squared diagonal of U in ``H^-1 = U^T U``, and j
is compensated by the columns to its right; the diagonal of H gets 0.01 of its mean; the most sensitive 15 %
of the entries are never kept; and the budget is ``s * mean_j(1 / [H^-1]_jj) * d_out * d_in / 4096^2``.

Needs the tuned and the aligned model, and ``activation`` statistics of the aligned one on safety data. A
safety expert is an aligned model too: the result then lies between the safety and the utility expert. The
model that both were made from plays no part.

Departs from the authors' code:

- The choice is made once for a whole weight, from D, not for each 2,048 columns after the compensations of
  those before. Entries of one column tie; here the first rows come first.
- Every column is compensated by all to its right; there, not by those in its own group of four.
- An input that never occurs has only the damping in H; there 1 too.
- s is an absolute amount of change, tuned on 7B models; ``unit: share`` counts the budget as a share of the
  error of keeping all of D.
- Embeddings and the head are merged as the layers are, where they have statistics; there they and the norms
  are the aligned model's (``on_missing: aligned``, for what has none).
"""

import math
from typing import Annotated

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.baseline import Baseline, Needs, with_statistics
from sst_mergekit.baselines.shared.measured import statistics_of
from sst_mergekit.baselines.shared.method import Experts, Method, Settings, recipe_of
from sst_mergekit.baselines.shared.ridge import with_ridge
from sst_mergekit.baselines.shared.roles import Roles, by_role
from sst_mergekit.baselines.shared.tensors import difference, wide
from sst_mergekit.core.factor import cholesky

BUDGET = 0.1
DENSITY = 0.85
DAMPING = 0.01
SIDE = 4096  # the authors' s is for a weight of this many rows and columns
BLOCK = 128  # columns whose compensations are added to the rest at once; changes no result
ROLES = Roles({"utility": (1, 1), "aligned": (1, 1)})
STATISTICS = {"fisher": Needs("activation", "aligned")}
UNITS = ("absolute", "share")
MISSING = "set 'on_missing: aligned' or 'on_missing: keep' to take that model's or the utility expert's"


def inverse_root(moment: Tensor, damping: float = DAMPING) -> Tensor:
    """Return the upper U [n, n] of ``H^-1 = U^T U``, or its diagonal [n] for a diagonal H; float64.

    Args:
        moment: H without damping, dense [n, n] or diagonal [n].
        damping: on the diagonal, in units of its mean.

    Raises:
        ValueError: the damped moment is not positive definite.
    """
    (damped,) = with_ridge([moment], damping)
    if damped.ndim == 1:
        if not bool((damped > 0).all()):
            raise ValueError("an input never occurs; set 'damping' above 0")
        return damped.rsqrt()
    # H reversed is L L^T; L reversed is the upper root of H, and the inverse of that is U transposed
    upper = cholesky(damped.flip(0, 1)).flip(0, 1)
    identity = torch.eye(len(upper), dtype=upper.dtype, device=upper.device)
    return torch.linalg.solve_triangular(upper, identity, upper=True)


def selected(delta: Tensor, scale: Tensor, budget: float, unit: str, density: float) -> Tensor:
    """Return the mask [d_out, d_in] of the entries to keep.

    Args:
        delta: D [d_out, d_in].
        scale: the diagonal of U [d_in]; its square is ``[H^-1]_jj``.
        budget: of the summed ``D^2 / [H^-1]_jj``, >= 0.
        unit: what the budget counts: ``absolute`` (the authors' s) or ``share`` (of the sum over all D).
        density: largest share of entries kept, in (0, 1].
    """
    sensitivity = scale.square().reciprocal()
    order = sensitivity.argsort(stable=True)
    errors = (delta.square() * sensitivity)[:, order].T
    spent = errors.flatten().cumsum(0)
    whole = spent[-1] if unit == "share" else sensitivity.mean() * (delta.numel() / SIDE**2)
    kept = spent <= budget * whole
    kept[math.ceil(density * delta.numel()) :] = False
    mask = torch.empty_like(delta, dtype=torch.bool)
    mask[:, order] = kept.reshape(errors.shape).T
    return mask


def compensated(aligned: Tensor, tuned: Tensor, kept: Tensor, root: Tensor) -> Tensor:
    """Return the tuned entries that are kept, and the aligned ones moved to make up for them.

    Args:
        aligned, tuned: weights [d_out, d_in], float64.
        kept: mask [d_out, d_in].
        root: U [d_in, d_in], or its diagonal [d_in]: nothing is to be made up for.
    """
    if root.ndim == 1:
        return torch.where(kept, tuned, aligned)
    result, columns = aligned.clone(), aligned.shape[1]
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        errors = torch.zeros_like(result[:, start:stop])
        for j in range(start, stop):
            before = result[:, j]
            after = torch.where(kept[:, j], tuned[:, j], before)
            error = (before - after) / root[j, j]
            result[:, j] = after
            result[:, j + 1 : stop] -= torch.outer(error, root[j, j + 1 : stop])
            errors[:, j - start] = error
        result[:, stop:] -= errors @ root[start:stop, stop:]
    return result


def safe_delta(
    tuned: Tensor,
    aligned: Tensor,
    moment: Tensor,
    budget: float = BUDGET,
    unit: str = "absolute",
    density: float = DENSITY,
    damping: float = DAMPING,
) -> Tensor:
    """Return the merged weight [d_out, d_in], float64.

    Args:
        tuned, aligned: weights [d_out, d_in].
        moment: of the aligned model's inputs on safety data, dense [d_in, d_in] or diagonal [d_in].
        budget: of the error on safety data, >= 0.
        unit: of the budget, ``absolute`` or ``share``.
        density: largest share of entries kept, in (0, 1].
        damping: on the diagonal of the moment, in units of its mean.

    Raises:
        ValueError: the moment is not finite, its trace not above 0, or the damping too small for it.
    """
    tuned, aligned = tuned.to(torch.float64), aligned.to(torch.float64)
    root = inverse_root(moment, damping)
    scale = root if root.ndim == 1 else root.diagonal()
    kept = selected(tuned - aligned, scale, budget, unit, density)
    return compensated(aligned, tuned, kept, root)


def merge_method() -> object:
    """Return the mergekit method."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        role: host.PerNonBase[host.Role],
        fisher: host.PerNonBase[str] = "",  # type: ignore[assignment]
        budget: Annotated[float, host.not_negative("budget")] = BUDGET,
        unit: Annotated[str, host.choice("unit", UNITS)] = "absolute",
        density: host.Density = DENSITY,
        damping: host.Damping = DAMPING,
        on_missing: Annotated[str, host.choice("on_missing", ("error", "keep", "aligned"))] = "error",
    ) -> Tensor:
        """Return the aligned model's tensor with the tuned entries that the budget pays for, compensated.

        Budget 0 is the aligned model. A tensor without statistics in which the models differ is an error, or
        with ``on_missing: keep`` the utility expert's, with ``on_missing: aligned`` the aligned model's.
        """
        models = by_role("safe_delta", ROLES, group, role)
        utility, aligned = models["utility"].tensor, models["aligned"].tensor  # type: ignore[union-attr]
        if not bool(difference(models["utility"], models["aligned"]).any()):
            return utility
        if budget == 0:
            return aligned.to(utility.dtype)
        statistics = statistics_of(group, models["aligned"], fisher, ("input",), on_missing, MISSING)
        if statistics is None:
            return utility if on_missing == "keep" else aligned.to(utility.dtype)
        tuned, start = (statistics.oriented(wide(models[each])) for each in ("utility", "aligned"))
        with statistics.at_fault():
            merged = safe_delta(tuned, start, statistics.tensors["input"], budget, unit, density, damping)
        return statistics.oriented(merged).to(utility.dtype).contiguous()

    return host.hosted("safe_delta", "Safe Delta", "2505.12038", models=2, base=False)(merge)


def recipe(experts: Experts, settings: Settings) -> dict:
    """Return a recipe: strength 0 is the utility expert, 1 the safety expert, the budget is what is left."""
    shared = {
        "budget": round(1 - settings["strength"], 4),
        "density": settings["density"],
        "unit": "share",
        "on_missing": "keep",
    }
    body = recipe_of("safe_delta", experts, {"role": "utility"}, {"role": "aligned"}, shared)
    return with_statistics(body, experts, STATISTICS)


ROW = Method("safe_delta", "Safe Delta", 0.5, ("density", (0.85, 1.0)), recipe, most=1.0)
BASELINES = (Baseline(ROW, merge_method, ROLES, STATISTICS),)
