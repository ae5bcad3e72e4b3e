import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from sst_mergekit.core import gevp
from sst_mergekit.core.factor import condition


def factor(n: int, seed: int, rank: int | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(rank or 2 * n, n, generator=generator, dtype=torch.float64)
    return rows.T @ rows


@given(n=st.integers(1, 12), seed=st.integers(0, 1000))
def test_equals_scipy(n, seed):
    harm, benign = condition(factor(n, seed), 0.1), condition(factor(n, seed + 1), 0.1)
    spectrum = gevp.solve(harm, benign)
    expected = scipy.linalg.eigh(harm.numpy(), benign.numpy(), eigvals_only=True)[::-1].copy()
    torch.testing.assert_close(spectrum.values, torch.from_numpy(expected), rtol=1e-8, atol=1e-10)


@given(n=st.integers(1, 12), seed=st.integers(0, 1000))
def test_vectors_solve_the_problem_and_are_benign_orthonormal(n, seed):
    harm, benign = condition(factor(n, seed), 0.1), condition(factor(n, seed + 1), 0.1)
    values, vectors = gevp.solve(harm, benign)
    torch.testing.assert_close(harm @ vectors, benign @ vectors * values, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(vectors.T @ benign @ vectors, torch.eye(n, dtype=torch.float64))


def test_diagonal_factors_give_what_their_dense_form_gives():
    harm = condition(torch.rand(7, generator=torch.Generator().manual_seed(1)), 0.1)
    benign = condition(torch.rand(7, generator=torch.Generator().manual_seed(2)), 0.1)
    values, vectors = gevp.solve(harm, benign)
    torch.testing.assert_close(values, gevp.solve(torch.diag(harm), torch.diag(benign)).values)
    torch.testing.assert_close(harm[:, None] * vectors, benign[:, None] * vectors * values)


def test_rank_deficient_benign_needs_damping():
    with pytest.raises(ValueError, match="set damping above 0"):
        gevp.solve(condition(factor(5, 0), 0.0), condition(factor(5, 1, rank=2), 0.0))
