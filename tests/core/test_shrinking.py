"""One side of the separable filter against its formula in float64, written out."""

import pytest
import torch
from test_factor import spd

from sst_mergekit.core import shrinking
from sst_mergekit.core.factor import condition
from sst_mergekit.core.refining import wide_product
from sst_mergekit.core.shrinking import SINGLE, shrink


def formula(
    harm: torch.Tensor, benign: torch.Tensor, x: torch.Tensor, cost: float, damping: float
) -> torch.Tensor:
    h, b = (condition(torch.diag(f) if f.ndim == 1 else f, damping) for f in (harm, benign))
    return torch.linalg.inv(h + cost * b) @ h @ x.double()


def skewed(n: int, seed: int, rank: int, decay: float) -> torch.Tensor:
    """A second moment of rank below n, its eigenvalues over `decay` orders of magnitude."""
    rows = torch.randn(rank, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows *= torch.logspace(0, -decay / 2, rank, dtype=torch.float64)[:, None]
    return rows.T @ rows


@pytest.mark.parametrize("columns", [3, 9], ids=["few columns", "more columns than rows"])
@pytest.mark.parametrize("cost", [0.0, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_it_equals_its_formula(columns, cost, scale):
    harm, benign, x = scale * spd(5, 1), spd(5, 2), torch.randn(5, columns, dtype=torch.float64)
    given = harm.clone(), benign.clone(), x.clone()
    torch.testing.assert_close(shrink(harm, benign, x, cost, 0.1), formula(harm, benign, x, cost, 0.1))
    assert all(torch.equal(a, b) for a, b in zip((harm, benign, x), given, strict=True))


def test_diagonals_are_their_dense_forms():
    harm, benign = torch.rand(5, dtype=torch.float64), torch.rand(5, dtype=torch.float64)
    x = torch.randn(5, 3, dtype=torch.float64)
    expected = formula(harm, benign, x, 0.7, 0.1)
    torch.testing.assert_close(shrink(harm, benign, x, 0.7, 0.1), expected)
    torch.testing.assert_close(shrink(torch.diag(harm), benign, x, 0.7, 0.1), expected)


@pytest.mark.parametrize("columns", [16, 300])
@pytest.mark.parametrize("rank", [1, 30, 256])
@pytest.mark.parametrize("decay", [0.0, 6.0])
def test_float32_stays_within_a_thousandth_of_float64(columns, rank, decay):
    harm, benign = skewed(256, 1, rank, decay), skewed(256, 2, rank, decay)
    x = torch.randn(256, columns, generator=torch.Generator().manual_seed(3))
    single = shrink(harm.float(), benign.float(), x, 0.3, 0.1)
    exact = formula(harm, benign, x, 0.3, 0.1)
    assert single.dtype == torch.float32
    assert float((single - exact).norm() / exact.norm()) < 1e-3


def test_ill_conditioned_factors_are_solved_in_float64():
    harm, benign = skewed(64, 1, 2, 0.0).float(), skewed(64, 2, 2, 0.0).float()
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(3))
    damping = 10 / SINGLE / 100
    found = shrink(harm, benign, x, 0.3, damping)
    exact = formula(harm, benign, x, 0.3, damping)
    assert found.dtype == torch.float64
    assert float((found - exact).norm() / exact.norm()) < 1e-5


@pytest.mark.parametrize("at", [(0, 0), (0, 1)])
def test_numbers_that_are_not_finite_are_refused(at):
    bad = spd(3, 0)
    bad[at] = bad[at[::-1]] = float("inf")
    for pair in ((bad, spd(3, 1)), (spd(3, 1), bad)):
        with pytest.raises(ValueError, match="finite"):
            shrink(*pair, torch.ones(3, 2, dtype=torch.float64), 0.3, 0.1)


@pytest.mark.parametrize("poor", [torch.tensor([1.0, 0.0]), torch.diag(torch.tensor([1.0, 0.0]))])
def test_rank_deficient_factors_need_damping(poor):
    x = torch.ones(2, 1)
    with pytest.raises(ValueError, match="damping above 0"):
        shrink(poor, poor, x, 0.3, 0.0)
    assert torch.isfinite(shrink(poor, poor, x, 0.3, 0.1)).all()


@pytest.mark.parametrize("cost", [0.01, 0.3, 100.0])
@pytest.mark.parametrize(("rank", "decay"), [(1, 0.0), (30, 6.0)])
def test_few_columns_are_refined_to_float64(cost, rank, decay, monkeypatch):
    harm, benign = skewed(256, 1, rank, decay).float(), skewed(256, 2, rank, decay).float()
    x = torch.randn(256, 4, generator=torch.Generator().manual_seed(3))
    given = harm.clone(), benign.clone(), x.clone()
    direct = shrink(harm.double(), benign.double(), x.double(), cost, 1e-3)
    products = []
    monkeypatch.setattr(shrinking, "wide_product", lambda *pair: products.append(1) or wide_product(*pair))
    found = shrink(harm, benign, x, cost, 1e-3)
    assert products
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, direct, rtol=1e-6, atol=1e-6 * float(x.norm()))
    assert all(torch.equal(a, b) for a, b in zip((harm, benign, x), given, strict=True))


def test_what_cannot_be_refined_is_solved_in_float64(monkeypatch):
    harm, benign = skewed(256, 1, 30, 6.0).float(), skewed(256, 2, 30, 6.0).float()
    x = torch.randn(256, 4, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(shrinking, "refined", lambda *_: None)
    direct = shrink(harm.double(), benign.double(), x.double(), 0.3, 1e-3)
    assert torch.equal(shrink(harm, benign, x, 0.3, 1e-3), direct)
