"""What a filter keeps, against the dense quadratic forms."""

import pytest
import torch
from test_geometries import GEOMETRIES, KAPPA, dense_fisher, patch, run, statistics

from sst_mergekit.core.kept import kept
from sst_mergekit.core.settings import FilterSettings


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("name", ["separable", "soft", "hard", "svd"])
def test_shares_are_those_of_the_dense_forms(geometry, name):
    settings = FilterSettings(filter=name, cost=0.4, density=0.5)
    found = kept(GEOMETRIES[geometry], patch(), statistics(0), statistics(1), KAPPA, settings)
    before, after = patch().flatten(), run(geometry, patch(), filter=name, cost=0.4, density=0.5).flatten()
    harm, benign = (dense_fisher(geometry, statistics(i), settings.damping) for i in (0, 1))
    assert found.norm == pytest.approx(float(after.norm() / before.norm()))
    assert found.cost == pytest.approx(float((after @ benign @ after) / (before @ benign @ before)))
    assert found.relevance == pytest.approx(float((after @ harm @ after) / (before @ harm @ before)))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_spectrum_is_the_dense_one(geometry):
    harm, benign = (dense_fisher(geometry, statistics(i), 0.1) for i in (0, 1))
    values = torch.linalg.eigvals(torch.linalg.solve(benign, KAPPA * harm)).real.sort().values
    found = kept(GEOMETRIES[geometry], patch(), statistics(0), statistics(1), KAPPA, FilterSettings())
    assert found.spectrum[0] == pytest.approx(float(values[0]), rel=1e-6)
    assert found.spectrum[-1] == pytest.approx(float(values[-1]), rel=1e-6)
    assert list(found.spectrum) == sorted(found.spectrum)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_no_cost_keeps_everything(geometry):
    settings = FilterSettings(filter="soft", cost=0.0)
    found = kept(GEOMETRIES[geometry], patch(), statistics(0), statistics(1), KAPPA, settings)
    assert (found.norm, found.cost, found.relevance) == pytest.approx((1.0, 1.0, 1.0))
