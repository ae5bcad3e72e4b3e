"""Fisher merging (Matena & Raffel 2022, arXiv:2111.09832): models averaged by their Fisher information.

The paper merges by ``theta = sum_i l_i F_i theta_i / sum_i l_i F_i`` with diagonal F_i, which maximises
the sum of the models' Laplace-approximated posteriors; :func:`diagonal` is that.
:func:`kronecker` solves the same problem for ``F_i = G_i (x) A_i`` (K-FAC), which the paper does not have:
``sum_i l_i G_i W A_i = sum_i l_i G_i W_i A_i``.

Needs statistics of every model: ``diagonal``, or ``input`` and ``output``. Departs from the paper in the
floor under the Fisher: a share of its mean over the models instead of a fixed small number, so that where
no model has information the result is the weighted mean.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from sst_mergekit.baselines.shared.average import average, check_weights
from sst_mergekit.baselines.shared.baseline import Baseline, Needs, averaged
from sst_mergekit.baselines.shared.conjugate_gradients import conjugate_gradients
from sst_mergekit.baselines.shared.measured import Measured
from sst_mergekit.baselines.shared.method import Method
from sst_mergekit.baselines.shared.ridge import with_ridge
from sst_mergekit.baselines.shared.weighted import merge_weighted
from sst_mergekit.core import gevp
from sst_mergekit.core.factor import multiply


class Factors(NamedTuple):
    """One model's Kronecker factors: A [d_in, d_in] or [d_in], G [d_out, d_out] or [d_out]."""

    input: Tensor
    output: Tensor


def diagonal(
    tensors: Sequence[Tensor], fishers: Sequence[Tensor], weights: Sequence[float], damping: float
) -> Tensor:
    """Return ``sum_i l_i F_i T_i / sum_i l_i F_i``, elementwise, float64.

    Args:
        tensors: one weight of every model.
        fishers: diagonal Fisher of each, of the same shape, >= 0.
        weights: l_i >= 0.
        damping: added to every F_i, in units of the mean of all F_i.

    Raises:
        ValueError: the weights are not usable, or a Fisher is zero everywhere or not finite.
    """
    check_weights(weights)
    flat = with_ridge([fisher.flatten() for fisher in fishers], damping)
    total = sum(weight * fisher for weight, fisher in zip(weights, flat, strict=True))
    if not bool((total > 0).all()):  # type: ignore[union-attr]
        raise ValueError("some entries have no Fisher information in any model; set damping above 0")
    result = torch.zeros_like(flat[0])
    for tensor, fisher, weight in zip(tensors, flat, weights, strict=True):
        result += weight * fisher / total * tensor.to(torch.float64).flatten()
    return result.view(tensors[0].shape)


def kronecker(
    tensors: Sequence[Tensor], factors: Sequence[Factors], weights: Sequence[float], damping: float
) -> Tensor:
    """Return W [d_out, d_in] with ``sum_i l_i G_i W A_i = sum_i l_i G_i W_i A_i``, float64.

    Two models are solved exactly: in the joint generalised eigenbasis of both factor pairs the system is
    diagonal. More models share no eigenbasis, and are solved by preconditioned conjugate gradients.

    Args:
        tensors: W_i [d_out, d_in] of every model.
        factors: of each model, positive semidefinite.
        weights: l_i >= 0; a model of weight 0 is left out.
        damping: added to every factor's diagonal, in units of the mean eigenvalue over the models.

    Raises:
        ValueError: the weights or factors are not usable, or the iteration does not converge.
    """
    check_weights(weights)
    used = [i for i, weight in enumerate(weights) if weight > 0]
    tensors, weights = [tensors[i].to(torch.float64) for i in used], [weights[i] for i in used]
    inputs = with_ridge([factors[i].input for i in used], damping)
    outputs = with_ridge([factors[i].output for i in used], damping)
    if len(used) == 1:
        return tensors[0]
    start = average(tensors, weights)  # solved for the difference from it, which is small
    right = sum(
        weight * sandwich(output, tensor - start, input)
        for tensor, weight, input, output in zip(tensors, weights, inputs, outputs, strict=True)
    )
    solve = _two if len(used) == 2 else _many
    return start + solve(inputs, outputs, weights, right)  # type: ignore[arg-type]


def sandwich(output: Tensor, weight: Tensor, input: Tensor) -> Tensor:
    """Return ``G W A`` for dense or diagonal symmetric factors."""
    return multiply(input, multiply(output, weight).T).T


def _two(inputs: list[Tensor], outputs: list[Tensor], weights: list[float], right: Tensor) -> Tensor:
    """Return the exact solution for two models: ``P ((Pᵀ R U) / (l_1 nu muᵀ + l_2)) Uᵀ``."""
    nu, to_rows, from_rows = _basis(*outputs)
    mu, to_columns, from_columns = _basis(*inputs)
    coordinates = to_columns(to_rows(right).T).T
    coordinates = coordinates / (weights[0] * nu[:, None] * mu[None, :] + weights[1])
    return from_columns(from_rows(coordinates).T).T


Map = Callable[[Tensor], Tensor]


def _basis(first: Tensor, second: Tensor) -> tuple[Tensor, Map, Map]:
    """Return the generalised eigenvalues of a pair, and ``x -> Vᵀ x`` and ``x -> V x``."""
    if first.ndim == 1 and second.ndim == 1:
        scale = second.rsqrt()[:, None]
        return first / second, lambda x: scale * x, lambda x: scale * x
    values, vectors = gevp.solve(first, second)
    return values, lambda x: vectors.T @ x, lambda x: vectors @ x


def _many(inputs: list[Tensor], outputs: list[Tensor], weights: list[float], right: Tensor) -> Tensor:
    """Return the solution by conjugate gradients, preconditioned by ``(sum l_i G_i) (x) (sum A_i)``."""
    triples = list(zip(weights, inputs, outputs, strict=True))

    def apply(x: Tensor) -> Tensor:
        return sum(weight * sandwich(output, x, input) for weight, input, output in triples)  # type: ignore

    rows = _inverse(_sum([weight * _as_one(output, outputs) for weight, _, output in triples]))
    columns = _inverse(_sum([_as_one(input, inputs) for input in inputs]))
    return conjugate_gradients(apply, right, lambda x: columns(rows(x).T).T)


def _as_one(factor: Tensor, factors: list[Tensor]) -> Tensor:
    """Return the factor as dense if any of the factors is."""
    return torch.diag(factor) if factor.ndim == 1 and any(f.ndim == 2 for f in factors) else factor


def _sum(factors: list[Tensor]) -> Tensor:
    return torch.stack(factors).sum(0)


def _inverse(factor: Tensor) -> Map:
    """Return ``x -> factor^-1 x``."""
    if factor.ndim == 1:
        return lambda x: x / factor[:, None]
    lower, info = torch.linalg.cholesky_ex(factor)
    if int(info) != 0:
        raise ValueError("the statistics are rank deficient; set damping above 0")
    return lambda x: torch.cholesky_solve(x, lower)


STATISTICS = {"fisher": Needs("diagonal")}
FORMS = {"diagonal": ("diagonal",), "kronecker": ("input", "output")}


def merge_method() -> object:
    """Return the mergekit method: models averaged by their Fisher information."""
    from sst_mergekit.plugin import host

    def merge(
        group: host.TensorGroup,
        fisher: host.PerNonBase[str] = "",  # type: ignore[assignment]
        weight: host.PerNonBase[host.Weight] = 1.0,  # type: ignore[assignment]
        geometry: Annotated[str, host.choice("geometry", tuple(FORMS))] = "diagonal",
        damping: host.Damping = 1e-3,
        on_missing: host.OrAverage = "error",
    ) -> Tensor:
        """Return the models' Fisher-weighted mean; a tensor without statistics is an error or averaged."""

        def mean(tensors: list[Tensor], statistics: list[Measured], weights: list[float]) -> Tensor:
            read = [item.tensors for item in statistics]
            if geometry == "diagonal":
                return diagonal(tensors, [item["diagonal"] for item in read], weights, damping)
            factors = [Factors(item["input"], item["output"]) for item in read]
            return kronecker(tensors, factors, weights, damping)

        return merge_weighted(group, fisher, weight, FORMS[geometry], on_missing, mean)

    return host.hosted("fisher", "Fisher merging", "2111.09832", models=2, base=False)(merge)


ROW = Method("fisher", "Fisher merging", 0.5, None, averaged("fisher", STATISTICS), most=1.0)
BASELINES = (Baseline(ROW, merge_method, statistics=STATISTICS),)
