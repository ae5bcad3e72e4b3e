"""The tiny world's methods as subjects: their parameters, and the experiments' own units of work."""

from __future__ import annotations

import pytest

from sst_mergekit.experiments.config import ModelOptions, load
from sst_mergekit.experiments.strategies.space import grid, parse_all
from sst_mergekit.experiments.sweep_world import world_methods
from sst_mergekit.resources import recipes_path


@pytest.fixture(scope="module")
def model() -> ModelOptions:
    return load(recipes_path() / "experiments" / "experiments.yml").models["tiny-world"]


def test_each_method_gets_the_parameters_that_it_has(model: ModelOptions) -> None:
    given = parse_all(["strength=0.5,1", "damping=0.01,0.1", "density=0.5,0.7"])
    names = ["linear", "ties", "sst"]
    spaces = {one.name: one.space for one in world_methods(model, "minimal", names, 42, given, grid=True)}
    assert {name: [p.name for p in space] for name, space in spaces.items()} == {
        "linear, seed 42": ["strength"],
        "ties, seed 42": ["strength", "density"],
        "sst, seed 42": ["cost", "strength", "damping", "density"],
    }


def test_what_is_not_named_is_the_demos(model: ModelOptions) -> None:
    [listed] = world_methods(model, "minimal", ["TA"], 1, (), grid=True)
    [ranged] = world_methods(model, "minimal", ["TA"], 1, (), grid=False)
    assert [len(p.values) for p in listed.space] == [8]
    assert (ranged.space[0].values, ranged.space[0].low, ranged.space[0].high) == ((), 0.175, 1.4)


def test_settings_are_units_of_the_experiments(model: ModelOptions) -> None:
    given = parse_all(["strength=0.5,1", "cost=0.3,0.03"])
    [sst] = world_methods(model, "minimal", ["SST-Merge"], 42, given, grid=True)
    units = [sst.unit(settings) for settings in grid(sst.space)]
    assert len({unit.key for unit in units}) == 4
    assert {unit.parents["base"].key for unit in units} == {units[0].parents["base"].key}
    assert units[0].inputs["split"] == "dev"
    assert units[0].inputs["recipe"]["parameters"] == {"filter": "separable", "strength": 0.5, "cost": 0.3}


def test_another_seed_is_another_subject_with_other_units(model: ModelOptions) -> None:
    one, other = (world_methods(model, "minimal", ["TA"], seed, (), grid=True)[0] for seed in (1, 2))
    assert one.name != other.name
    assert one.unit({"strength": 0.5}).key != other.unit({"strength": 0.5}).key
