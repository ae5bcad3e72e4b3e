"""Truncated factors: each function against the dense matrix that they stand for, and the streaming sketch."""

import pytest
import torch

from sst_mergekit.core import gevp, sketch, truncated
from sst_mergekit.core.factor import condition, dense, multiply
from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.geometry import mean_eigenvalue, trace
from sst_mergekit.core.pooling import pool
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.core.shrinking import shrink

SIZE, RANK = 12, 3


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spd(n: int, seed: int) -> torch.Tensor:
    rows = draw(3 * n, n, seed=seed) * torch.arange(1, n + 1).rsqrt()
    return rows.T @ rows


def factor(seed: int, rank: int = RANK, size: int = SIZE) -> torch.Tensor:
    return truncated.cut(spd(size, seed), rank)


def test_cut_keeps_the_top_eigenpairs_the_trace_and_the_mean_of_the_rest():
    matrix = spd(SIZE, 0)
    found = torch.linalg.eigvalsh(truncated.expand(truncated.cut(matrix, RANK)))
    expected = torch.linalg.eigvalsh(matrix)
    torch.testing.assert_close(found[-RANK:], expected[-RANK:])
    torch.testing.assert_close(found[:-RANK], expected[:-RANK].mean().expand(SIZE - RANK))


def test_what_would_not_be_smaller_stays_dense():
    matrix = spd(SIZE, 0)
    assert truncated.cut(matrix, SIZE - 1) is matrix
    assert truncated.is_truncated(truncated.cut(matrix, SIZE - 2))
    assert not truncated.is_truncated(matrix)
    assert not truncated.is_truncated(matrix.diagonal())


def test_traces_and_products_are_those_of_the_dense_matrix():
    found, x = factor(1), draw(SIZE, 2, seed=2)
    whole = dense(found)
    assert trace("input", found) == pytest.approx(trace("input", whole))
    assert mean_eigenvalue("output", found) == pytest.approx(mean_eigenvalue("output", whole))
    torch.testing.assert_close(multiply(found, x), whole @ x)
    torch.testing.assert_close(dense(condition(found, 0.3)), condition(whole, 0.3))


@pytest.mark.parametrize("cost", [0.0, 0.01, 1.0, 100.0])
@pytest.mark.parametrize("benign_rank", [1, RANK, 7])
def test_woodbury_equals_the_dense_solve(cost, benign_rank):
    harm, benign, x = factor(1), factor(2, benign_rank), draw(SIZE, 4, seed=3)
    expected = shrink(dense(harm), dense(benign), x, cost, 0.1)
    torch.testing.assert_close(shrink(harm, benign, x, cost, 0.1), expected)
    assert shrink(harm.float(), benign.float(), x.float(), cost, 0.1).dtype == torch.float32


def test_truncated_against_dense_is_the_dense_solve():
    harm, benign, x = factor(1), spd(SIZE, 2), draw(SIZE, 4, seed=3)
    torch.testing.assert_close(shrink(harm, benign, x, 0.5, 0.1), shrink(dense(harm), benign, x, 0.5, 0.1))


@pytest.mark.parametrize("rank", [1, RANK, 7])
def test_the_pencil_has_all_eigenpairs_of_the_dense_problem(rank):
    harm, benign = condition(factor(1, rank), 0.1), condition(factor(2), 0.1)
    values, vectors = gevp.solve(harm, benign)
    torch.testing.assert_close(values, gevp.solve(dense(harm), dense(benign)).values)
    torch.testing.assert_close(vectors.T @ dense(benign) @ vectors, torch.eye(SIZE, dtype=torch.float64))
    torch.testing.assert_close(vectors.T @ dense(harm) @ vectors, torch.diag(values))


@pytest.mark.parametrize("name", ["separable", "soft", "hard", "random"])
@pytest.mark.parametrize("geometry", ["kronecker", "activation"])
def test_every_filter_equals_itself_on_the_dense_matrices(name, geometry):
    patch = draw(SIZE, 9, seed=4)
    sides = [{"output": factor(seed), "input": factor(seed + 2, size=9)} for seed in (1, 2)]
    whole = [{key: dense(tensor) for key, tensor in side.items()} for side in sides]
    settings = FilterSettings(name, density=2 / (SIZE * 9))  # hard: fewer than the joint subspace has
    found = filter_patch(GEOMETRIES[geometry], patch, *sides, 2.0, settings)
    expected = filter_patch(GEOMETRIES[geometry], patch, *whole, 2.0, settings)
    torch.testing.assert_close(found, expected)


def test_without_damping_and_rest_the_error_says_what_to_do():
    bare = truncated.packed(torch.ones(2).double(), torch.eye(SIZE, 2).double(), 2.0)
    with pytest.raises(ValueError, match="set damping above 0"):
        shrink(bare, bare, draw(SIZE, 1), 0.5, 0.0)
    with pytest.raises(ValueError, match="set damping above 0"):
        gevp.solve(bare, bare)


@pytest.mark.parametrize("ranks", [(2, 3, 4), (5, 5), (3, None)])
def test_pooled_experts_are_the_sum_of_the_dense_matrices(ranks):
    found = [
        (0.5 + seed, {"input": spd(SIZE, seed) if rank is None else factor(seed, rank)})
        for seed, rank in enumerate(ranks)
    ]
    whole = [(weight, {"input": dense(each["input"])}) for weight, each in found]
    torch.testing.assert_close(dense(pool(found)["input"]), pool(whole)["input"])


def stream(size: int, count: int) -> torch.Tensor:
    scales = torch.arange(1, size + 1).double().rsqrt()
    turn = torch.linalg.qr(draw(size, size, seed=9))[0]
    return ((draw(count, size, seed=8) * scales) @ turn.T).float()


def test_the_sketch_of_few_rows_is_exact():
    rows = stream(200, 30)
    made = sketch.Sketch(200, 20, torch.device("cpu"))
    made.add(rows)
    expected = truncated.cut((rows.T @ rows).double(), 16)
    torch.testing.assert_close(dense(made.top(16)).double(), dense(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_the_sketch_of_a_stream_is_near_the_best_cut(batch):
    rows = stream(200, 2000)
    made = sketch.Sketch(200, 20, torch.device("cpu"))
    for part in rows.split(batch):
        made.add(part)
    assert len(made.rows) == 40
    whole = (rows.T @ rows).double()
    found, best = dense(made.top(16).double()), dense(truncated.cut(whole, 16))
    assert float(found.trace()) == pytest.approx(float(whole.trace()), rel=1e-5)
    assert (found - whole).norm() < 1.1 * (best - whole).norm()


def test_a_sketch_takes_another_sketch():
    rows = stream(200, 2000)
    parts = [sketch.Sketch(200, 20, torch.device("cpu")) for _ in range(2)]
    for made, half in zip(parts, rows.split(1000), strict=True):
        made.add(half)
    parts[0].add(parts[1].rows[: parts[1].filled], parts[1].trace)
    whole = (rows.T @ rows).double()
    found, best = dense(parts[0].top(16).double()), dense(truncated.cut(whole, 16))
    assert float(found.trace()) == pytest.approx(float(whole.trace()), rel=1e-5)
    assert (found - whole).norm() < 1.1 * (best - whole).norm()


def test_a_dense_matrix_is_preferred_where_a_sketch_would_be_larger():
    assert sketch.kept_rows(14336, 256) == 320
    assert sketch.kept_rows(1280, 256) is None
