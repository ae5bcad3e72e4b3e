import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sst_mergekit.core import moments

sizes = st.integers(1, 5)


def second_moment(rows: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(rows.shape[1], rows.shape[1])
    moments.add_second_moment(total, rows)
    return moments.mirror(total)


def squared_gradients(x: torch.Tensor, g: torch.Tensor, ends: list[int] | None = None) -> torch.Tensor:
    total = torch.zeros(g.shape[-1], x.shape[-1])
    moments.add_squared_gradients(total, x, g, ends or [x.shape[1]] * len(x))
    return total


def marginal(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(x.shape[-1], x.shape[-1])
    moments.add_marginal(total, x, by)
    return moments.mirror(total)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(n=sizes, d=sizes)
def test_second_moment_is_a_sum_of_outer_products(n, d):
    rows = draw(n, d)
    expected = sum(torch.outer(row, row) for row in rows)
    torch.testing.assert_close(second_moment(rows), expected)
    torch.testing.assert_close(moments.squares(rows), expected.diagonal())


@given(ids=st.lists(st.integers(0, 6), max_size=20))
def test_counts_are_the_second_moment_of_one_hots(ids):
    tokens = torch.tensor(ids, dtype=torch.long)
    one_hot = torch.nn.functional.one_hot(tokens, 7).float()
    torch.testing.assert_close(torch.diag(moments.counts(tokens, 7)), one_hot.T @ one_hot)


@given(batch=sizes, time=sizes, d_in=sizes, d_out=sizes)
def test_squared_gradients_are_of_each_sequence(batch, time, d_in, d_out):
    x, g = draw(batch, time, d_in), draw(batch, time, d_out, seed=1)
    expected = torch.zeros(d_out, d_in)
    for b in range(batch):
        expected += sum(torch.outer(g[b, t], x[b, t]) for t in range(time)) ** 2
    torch.testing.assert_close(squared_gradients(x, g), expected)


def test_padding_is_left_out():
    x, g = draw(2, 5, 3), draw(2, 5, 4, seed=1)
    expected = squared_gradients(x[:1, :2], g[:1, :2]) + squared_gradients(x[1:], g[1:])
    torch.testing.assert_close(squared_gradients(x, g, [2, 5]), expected)


@given(batch=sizes, time=sizes, d=sizes)
def test_an_embedding_is_a_linear_layer_on_one_hots(batch, time, d):
    ids = torch.randint(0, 7, (batch, time), generator=torch.Generator().manual_seed(2))
    g = draw(batch, time, d, seed=1)
    one_hot = torch.nn.functional.one_hot(ids, 7).float()
    expected = squared_gradients(one_hot, g)
    total = torch.zeros(d, 7)
    moments.add_squared_embedding_gradients(total, ids, g)
    torch.testing.assert_close(total, expected)


@given(batch=sizes, time=sizes, d=sizes, e=sizes)
def test_marginals_are_of_each_sequences_gradient(batch, time, d, e):
    x, by = draw(batch, time, d), draw(batch, time, e, seed=1)
    gradients = by.double().mT @ x.double()
    expected = (gradients.mT @ gradients).sum(0).float()
    torch.testing.assert_close(marginal(x, by), expected, rtol=1e-4, atol=1e-4)
    rows = moments.gram_rows(x, by)
    assert rows.shape == (batch * min(time, e), d)
    torch.testing.assert_close(rows.T @ rows, expected, rtol=1e-4, atol=1e-4)


def test_long_sequences_and_wide_layers_are_in_blocks():
    x, by = draw(2, 2 * moments.ROWS + 7, 300), draw(2, 2 * moments.ROWS + 7, 5, seed=1)
    gradients = by.double().mT @ x.double()
    expected = (gradients.mT @ gradients).sum(0).float()
    torch.testing.assert_close(marginal(x, by), expected, rtol=1e-4, atol=1e-4 * float(expected.max()))


@given(batch=sizes, time=sizes, d=sizes)
def test_an_embeddings_gradient_has_a_row_an_id(batch, time, d):
    ids = torch.randint(0, 7, (batch, time), generator=torch.Generator().manual_seed(2))
    g = draw(batch, time, d, seed=1)
    found, sums = moments.gathered(ids, g)
    one_hot = torch.nn.functional.one_hot(ids, 7).float()
    torch.testing.assert_close(sums.T @ sums, marginal(g, one_hot), rtol=1e-4, atol=1e-4)
    weights = torch.zeros(7).index_add_(0, found, sums.square().sum(1))
    torch.testing.assert_close(weights, marginal(one_hot, g).diagonal(), rtol=1e-4, atol=1e-4)


def test_half_precision_is_accumulated_in_float32():
    rows = torch.ones(4096, 1, dtype=torch.float16) * 8
    assert float(second_moment(rows)) == 64 * 4096  # beyond float16's largest number


@pytest.mark.parametrize("size", [127, 128, 129, 1025, 2100])
def test_blocks_of_the_triangle_make_the_whole_matrix(size):
    rows = draw(3, size)
    total = second_moment(rows)
    torch.testing.assert_close(total, rows.T @ rows)
    assert torch.equal(total, total.T)


@pytest.mark.parametrize("d_out", [511, 512, 1030])
def test_blocks_of_squared_gradients_make_the_whole_matrix(d_out):
    x, g = draw(2, 3, 4), draw(2, 3, d_out, seed=1)
    expected = torch.einsum("bto,bti->boi", g, x).square().sum(0)
    torch.testing.assert_close(squared_gradients(x, g), expected)
