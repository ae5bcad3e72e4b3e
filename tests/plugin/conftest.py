"""Random experts and statistics of one layer, small enough to check densely."""

import pytest
import torch
from fake_statistics import IN, OUT, write_statistics


@pytest.fixture
def fisher(tmp_path):
    """(utility's statistics, safety's statistics)"""
    return write_statistics(tmp_path / "benign", 1), write_statistics(tmp_path / "harm", 2)


@pytest.fixture
def experts():
    """base, utility, safety [OUT, IN] float32."""
    generator = torch.Generator().manual_seed(3)
    base = torch.randn(OUT, IN, generator=generator)
    return tuple(base + scale * torch.randn(OUT, IN, generator=generator) for scale in (0, 0.1, 0.1))
