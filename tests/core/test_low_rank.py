"""Factors of a matrix that is of low rank, and None for one that is not."""

import pytest
import torch

from sst_mergekit.core.low_rank import LEFT_OUT, RANK, factored


def product(rows: int, columns: int, rank: int, dtype=torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rank)
    left = torch.randn(rows, rank, generator=generator, dtype=torch.float64)
    sizes = torch.logspace(0, -2, rank, dtype=torch.float64)
    right = torch.randn(rank, columns, generator=generator, dtype=torch.float64)
    return ((left * sizes) @ right).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rank", [1, 16, RANK])
@pytest.mark.parametrize(("rows", "columns"), [(300, 700), (700, 300)])
def test_a_product_is_found_again(rows, columns, rank, dtype):
    patch = product(rows, columns, rank, dtype)
    given = patch.clone()
    left, right = factored(patch)
    assert left.shape[1] == rank
    assert left.dtype == right.dtype == dtype
    torch.testing.assert_close(left @ right, patch, rtol=1e-4, atol=1e-4)
    assert torch.equal(patch, given)


def test_a_transposed_weight_and_one_with_few_rows_changed():
    turned = product(300, 700, 8).T
    left, right = factored(turned)
    torch.testing.assert_close(left @ right, turned, rtol=1e-4, atol=1e-4)
    few = torch.zeros(600, 400)
    few[5] = torch.randn(400, generator=torch.Generator().manual_seed(0))
    left, right = factored(few)
    torch.testing.assert_close(left @ right, few, rtol=1e-4, atol=1e-4)


def test_a_lora_folded_in_float32_is_found_and_one_folded_in_bfloat16_is_not():
    weight = 0.03 * torch.randn(400, 400, generator=torch.Generator().manual_seed(1))
    change = 1e-4 * product(400, 400, 16)
    left, right = factored(weight + change - weight)
    assert left.shape[1] <= 16 + 8
    assert float((left @ right - change).norm()) < 2 * LEFT_OUT * float(change.norm())
    coarse = weight.bfloat16().float()
    assert factored((coarse + change).bfloat16().float() - coarse) is None


@pytest.mark.parametrize("rank", [RANK + 20, 300])
def test_a_higher_rank_is_refused(rank):
    assert factored(product(400, 300, rank)) is None


def test_what_the_block_does_not_show_is_noticed():
    patch = product(512, 512, 4)
    patch[1::2, 1::2] += torch.randn(256, 256, generator=torch.Generator().manual_seed(2))
    assert factored(patch) is None


def test_small_patches_are_not_tried():
    assert factored(product(200, 900, 2)) is None
