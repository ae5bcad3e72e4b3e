"""Bases, controls and the filter without data, against literal twins."""

import math

import pytest
import torch
from test_geometries import IN, KAPPA, OUT, dense_fisher, patch, statistics

from sst_mergekit.core.filtering import data_free, filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.settings import DEFAULTS, FilterSettings


def run(geometry, delta, **choice):
    sides = statistics(0), statistics(1)
    return filter_patch(GEOMETRIES[geometry], delta, *sides, KAPPA, FilterSettings(**choice))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_basis_diagonalises_both_matrices(geometry):
    """C = coordinates(D): sum C^2 = D F_b D, sum rho C^2 = kappa D F_h D."""
    delta = patch()
    basis = GEOMETRIES[geometry].basis(statistics(0), statistics(1), KAPPA, 0.1)
    coordinates = basis.coordinates(delta)
    harm, benign = (dense_fisher(geometry, statistics(i), 0.1) for i in (0, 1))
    flat = delta.flatten()
    torch.testing.assert_close(coordinates.square().sum(), flat @ benign @ flat)
    torch.testing.assert_close((basis.rho * coordinates.square()).sum(), KAPPA * (flat @ harm @ flat))
    torch.testing.assert_close(basis.back(coordinates), delta)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", ["random", "magnitude", "svd"])
def test_controls_have_the_norm_of_the_real_filter(geometry, name):
    control = run(geometry, patch(), filter=name, density=0.5)
    real = run(geometry, patch(), filter="separable")
    torch.testing.assert_close(control.norm(), real.norm())
    assert not torch.allclose(control, real, rtol=0.05)


def parallel(one, two):
    return torch.allclose(one / one.norm(), two / two.norm())


def test_what_each_control_keeps():
    delta = patch()
    kept = run("kronecker", delta, filter="magnitude", density=0.3)
    wanted = delta.abs() >= delta.abs().flatten().sort(descending=True).values[math.ceil(0.3 * OUT * IN) - 1]
    assert parallel(kept, delta * wanted)
    u, s, vh = torch.linalg.svd(delta, full_matrices=False)
    assert parallel(run("kronecker", delta, filter="svd", density=0.5), u[:, :2] @ torch.diag(s[:2]) @ vh[:2])
    low = patch(rank=2)
    top = torch.linalg.svd(low, full_matrices=False)
    expected = top.S[0] * torch.outer(top.U[:, 0], top.Vh[0])
    assert parallel(run("kronecker", low, filter="svd", density=0.5), expected)  # half of rank 2
    drawn = run("kronecker", delta, filter="random", density=0.4, seed=1)
    assert int(torch.linalg.matrix_rank(drawn)) == math.ceil(0.4 * IN)
    assert torch.equal(drawn, run("kronecker", delta, filter="random", density=0.4, seed=1))
    assert not torch.allclose(drawn, run("kronecker", delta, filter="random", density=0.4, seed=2))


def test_data_free_is_soft_on_squared_task_vectors():
    delta, utility = patch(1), patch(2)
    settings = FilterSettings(filter="data_free", cost=0.4)
    harm, benign = delta.square(), utility.square()
    rho = (harm / harm.mean() + settings.damping) / (benign / benign.mean() + settings.damping)
    torch.testing.assert_close(data_free(delta, utility, settings), delta * rho / (rho + 0.4))
    assert torch.equal(data_free(delta, torch.zeros_like(utility), settings), delta)
    assert not data_free(torch.zeros_like(delta), utility, settings).any()  # a tensor without a patch


@pytest.mark.parametrize("name", ["random", "magnitude", "svd"])
def test_controls_of_an_empty_patch_are_empty(name):
    zero = torch.zeros(OUT, IN)
    assert not run("kronecker", zero, filter=name).any()


def test_the_defaults_are_the_separable_kronecker_filter():
    assert (DEFAULTS.filter, DEFAULTS.cost, DEFAULTS.damping) == ("separable", 0.3, 0.1)
