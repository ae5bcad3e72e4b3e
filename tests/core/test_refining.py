"""Refinement against a solution in float64."""

import torch
from test_factor import spd

from sst_mergekit.core.refining import refined, wide_product


def test_it_solves_to_more_digits_than_float32_has():
    exact = spd(300, 0).float().double()
    right = torch.randn(300, 3, dtype=torch.float64)
    matrix = exact.float()
    found = refined(matrix, lambda x: right - exact @ x, torch.zeros_like(right))
    assert found is not None
    assert float((exact @ found - right).norm() / right.norm()) < 1e-10


def test_it_tells_what_it_cannot_solve():
    right = torch.ones(3, 1, dtype=torch.float64)
    indefinite, identity = torch.diag(torch.tensor([1.0, -1.0, 1.0])), torch.eye(3)
    assert refined(indefinite, lambda x: right, torch.zeros_like(right)) is None
    assert refined(identity, lambda x: 3 * right * (1 + x.abs()), torch.zeros_like(right)) is None


def test_a_wide_product_is_that_of_float64():
    matrix, x = torch.randn(600, 40), torch.randn(40, 3, dtype=torch.float64)
    torch.testing.assert_close(wide_product(matrix, x), matrix.double() @ x)
