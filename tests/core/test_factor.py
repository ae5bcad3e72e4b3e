import pytest
import torch

from sst_mergekit.core.factor import DEFICIENT, cholesky, condition, multiply, solve


def spd(n: int, seed: int) -> torch.Tensor:
    rows = torch.randn(2 * n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows.T @ rows


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e9])
def test_condition_has_mean_eigenvalue_one_plus_damping(scale):
    assert torch.linalg.eigvalsh(condition(scale * spd(6, 0), 0.25)).mean() == pytest.approx(1.25)
    assert condition(scale * torch.rand(6), 0.25).mean() == pytest.approx(1.25)


def test_condition_leaves_its_input_alone():
    factor = spd(4, 0)
    before = factor.clone()
    condition(factor, 0.5)
    assert torch.equal(factor, before)


@pytest.mark.parametrize("bad", [torch.zeros(3, 3), torch.zeros(3), torch.full((3,), float("nan"))])
def test_condition_refuses_what_has_no_scale(bad):
    with pytest.raises(ValueError, match="mean eigenvalue"):
        condition(bad, 0.1)


def test_condition_refuses_infinities_off_the_diagonal():
    factor = spd(3, 0)
    factor[0, 1] = float("inf")
    with pytest.raises(ValueError, match="finite"):
        condition(factor, 0.1)


def test_multiply_by_a_diagonal_is_multiply_by_its_matrix():
    d, x = torch.rand(4), torch.randn(4, 2)
    torch.testing.assert_close(multiply(d, x), multiply(torch.diag(d), x))


@pytest.mark.parametrize("columns", [2, 9])
def test_a_system_is_solved_in_its_own_memory(columns):
    matrix, x = spd(5, 0), torch.randn(5, columns, dtype=torch.float64)
    expected = torch.linalg.inv(matrix) @ x
    apart = cholesky(matrix)
    torch.testing.assert_close(apart @ apart.T, matrix)
    lower = cholesky(matrix, overwrite=True)
    assert torch.equal(lower, apart)
    assert lower.data_ptr() == matrix.data_ptr()
    for given in (x.clone(), x.T.clone().T):
        found = solve(lower, given)
        torch.testing.assert_close(found, expected)
        assert found.data_ptr() == given.data_ptr()


def test_a_matrix_that_is_not_positive_definite_is_refused():
    with pytest.raises(ValueError, match=DEFICIENT):
        cholesky(torch.diag(torch.tensor([1.0, -1.0])), overwrite=True)
