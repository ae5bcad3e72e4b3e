"""Low-rank arithmetic against dense matrices and their SVD."""

import pytest
import torch

from sst_mergekit.adapters.pair import Pair, approximated, compressed, stacked
from sst_mergekit.adapters.total import total


def pair(seed: int, rank: int, rows: int = 7, columns: int = 9) -> Pair:
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(rows, rank, generator=generator, dtype=torch.float64)
    return Pair(left, torch.randn(rank, columns, generator=generator, dtype=torch.float64))


def test_stacking_adds() -> None:
    one, other = pair(0, 2), pair(1, 3)
    both = stacked([one.scaled(0.5), other.scaled(-2)])
    assert both.rank == 5
    assert both.shape == (7, 9)
    torch.testing.assert_close(both.dense(), 0.5 * one.dense() - 2 * other.dense())


@pytest.mark.parametrize("rank", [1, 3, 12])
def test_energy_is_the_squared_norm(rank: int) -> None:
    assert pair(0, rank).energy() == pytest.approx(float(pair(0, rank).dense().square().sum()))


@pytest.mark.parametrize("shape", [(7, 9), (9, 7)])
@pytest.mark.parametrize("rank", [1, 4, 6, 20])
def test_compression_is_the_truncated_svd(shape: tuple[int, int], rank: int) -> None:
    whole = pair(3, 6, *shape)
    matrix = whole.dense()
    u, values, vh = torch.linalg.svd(matrix, full_matrices=False)
    expected = (u[:, :rank] * values[:rank]) @ vh[:rank]
    for got in (compressed(whole, rank), approximated(matrix, rank)):
        assert got.rank <= min(rank, 7)
        torch.testing.assert_close(got.dense(), expected)
        error = float((got.dense() - matrix).square().sum())
        assert error == pytest.approx(float(values[rank:].square().sum()), rel=1e-9, abs=1e-20)


def test_singular_values_are_shared_between_the_sides() -> None:
    for got in (compressed(pair(0, 4), 3), approximated(pair(0, 4).dense(), 3)):
        torch.testing.assert_close(got.left.norm(dim=0), got.right.norm(dim=1))


def test_more_rank_than_there_is_gives_no_nan() -> None:
    zero = torch.zeros(3, 5, dtype=torch.float64)
    assert torch.equal(approximated(zero, 2).dense(), zero)
    single = pair(0, 1).dense()
    torch.testing.assert_close(approximated(single, 5).dense(), single)


def test_a_total_is_exact_unless_it_is_cut() -> None:
    terms = [pair(0, 2), pair(1, 3)]
    whole = total(terms, None, 5)
    assert whole.exact
    assert torch.equal(whole.pair.dense(), stacked(terms).dense())
    assert total(terms, 5, 5).exact
    cut = total(terms, 4, 5)
    values = torch.linalg.svdvals(whole.pair.dense())
    assert not cut.exact
    assert cut.kept / cut.full == pytest.approx(float(values[:4].square().sum() / values.square().sum()))


def test_a_total_with_a_dense_term_is_approximated() -> None:
    dense = pair(5, 7).dense()
    got = total([pair(0, 2), dense], None, 3)
    values = torch.linalg.svdvals(pair(0, 2).dense() + dense)
    assert (got.pair.rank, got.exact) == (3, False)
    assert got.full == pytest.approx(float(values.square().sum()))
    assert got.kept == pytest.approx(float(values[:3].square().sum()))
