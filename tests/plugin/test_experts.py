"""Many experts in one recipe: pooled statistics, weights, and experts of equal standing."""

import itertools

import pytest
import torch
from fake_statistics import IN, NAME, OUT, seal, write_statistics
from test_method import merge

from sst_mergekit.core.filtering import data_free, filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.settings import DEFAULTS, FilterSettings
from sst_mergekit.statistics.store import StatisticsStore, open_statistics

IDS = ("a", "b", "c")
OTHER = "model.layers.1.mlp.up_proj.weight"


@pytest.fixture
def world(tmp_path):
    """Tensors of a base and three experts, and each expert's statistics."""
    generator = torch.Generator().manual_seed(11)
    base = torch.randn(OUT, IN, generator=generator)
    tensors = {"0": base} | {i: base + 0.1 * torch.randn(OUT, IN, generator=generator) for i in IDS}
    return tensors, {key: write_statistics(tmp_path / key, seed) for seed, key in enumerate(IDS)}


def read(source, geometry):
    store = open_statistics(source)
    return store.tensors(store.find(NAME), GEOMETRIES[geometry].needs)


def mean_eigenvalue(name, tensor):
    if name == "scores":
        return (tensor.T @ tensor).diagonal().mean()
    return (tensor if name == "diagonal" else tensor.diagonal()).mean()


def pooled(sources, weights, geometry):
    """Naive twin: each Fisher at mean eigenvalue 1, summed by weight."""
    found = [{name: t.double() for name, t in read(source, geometry).items()} for source in sources]
    shares = [weight / sum(weights) for weight in weights]
    result = {}
    for name in found[0]:
        if name in ("left", "right"):
            result[name] = found[0][name]
        elif name == "scores":
            rows = [
                (s / mean_eigenvalue(name, f[name])) ** 0.5 * f[name]
                for s, f in zip(shares, found, strict=True)
            ]
            result[name] = torch.cat(rows)
        else:
            result[name] = sum(
                s * f[name] / mean_eigenvalue(name, f[name]) for s, f in zip(shares, found, strict=True)
            )
    return result


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_two_utility_experts_price_the_patch_together(world, geometry):
    tensors, fisher = world
    role, weight = {"a": "utility", "b": "utility", "c": "safety"}, {"a": 0.5, "b": 1.5, "c": 1.0}
    found = merge(tensors, fisher, role, geometry=geometry, weight=weight, strength=0.8)
    start = tensors["0"] + sum(weight[i] * (tensors[i] - tensors["0"]) for i in "ab")
    benign = pooled([fisher["a"], fisher["b"]], [0.5, 1.5], geometry)
    patch = tensors["c"] - tensors["0"]
    kept = filter_patch(GEOMETRIES[geometry], patch, read(fisher["c"], geometry), benign, 1.0, DEFAULTS)
    torch.testing.assert_close(found, (start + 0.8 * kept).float())


def test_an_expert_of_weight_zero_is_as_good_as_absent(world):
    tensors, fisher = world
    role = {"a": "utility", "b": "utility", "c": "safety"}
    found = merge(tensors, fisher, role, weight={"a": 1.0, "b": 0.0, "c": 1.0})
    alone = merge({k: tensors[k] for k in "0ac"}, fisher, {"a": "utility", "c": "safety"})
    torch.testing.assert_close(found, alone)


def test_two_equal_utility_experts_are_one(world):
    """The same statistics twice are the same price; two halves of a task vector are the whole."""
    tensors, fisher = world
    twins = {"0": tensors["0"], "a": tensors["a"], "b": tensors["a"].clone(), "c": tensors["c"]}
    role, weight = {"a": "utility", "b": "utility", "c": "safety"}, {"a": 0.5, "b": 0.5, "c": 1.0}
    found = merge(twins, fisher | {"b": fisher["a"]}, role, weight=weight)
    alone = merge({k: tensors[k] for k in "0ac"}, fisher, {"a": "utility", "c": "safety"})
    torch.testing.assert_close(found, alone)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_experts_of_equal_standing_are_filtered_against_the_others(world, geometry):
    tensors, fisher = world
    weight = {"a": 0.5, "b": 1.0, "c": 2.0}
    found = merge(
        tensors, fisher, dict.fromkeys(IDS, "expert"), geometry=geometry, weight=weight, strength=0.6
    )
    expected = tensors["0"].double()
    for key in IDS:
        others = [other for other in IDS if other != key]
        benign = pooled([fisher[o] for o in others], [weight[o] for o in others], geometry)
        patch = tensors[key] - tensors["0"]
        kept = filter_patch(GEOMETRIES[geometry], patch, read(fisher[key], geometry), benign, 1.0, DEFAULTS)
        expected = expected + 0.6 * weight[key] * kept
    torch.testing.assert_close(found, expected.float())


@pytest.mark.parametrize(
    "roles", [("expert",) * 3, ("utility", "utility", "safety"), ("safety", "utility", "safety")]
)
def test_the_order_of_many_models_does_not_matter(world, roles):
    tensors, fisher = world
    role = dict(zip(IDS, roles, strict=True))
    merged = [
        merge({"0": tensors["0"]} | {key: tensors[key] for key in order}, fisher, role)
        for order in itertools.permutations(IDS)
    ]
    assert all(torch.equal(merged[0], other) for other in merged)


def test_no_cost_makes_experts_task_arithmetic(world):
    tensors, fisher = world
    found = merge(tensors, fisher, dict.fromkeys(IDS, "expert"), cost=0.0)
    expected = tensors["0"] + sum(tensors[key] - tensors["0"] for key in IDS)
    torch.testing.assert_close(found, expected)


def test_data_free_needs_no_statistics(world):
    tensors, _ = world
    role = {"a": "utility", "b": "utility", "c": "safety"}
    found = merge(tensors, dict.fromkeys(IDS, ""), role, filter="data_free", strength=0.5)
    utility = tensors["a"] + tensors["b"] - 2 * tensors["0"]
    kept = data_free(tensors["c"] - tensors["0"], utility, DEFAULTS)
    torch.testing.assert_close(found, (tensors["0"] + utility + 0.5 * kept).float())


def test_layer_weight_multiplies_relevance(world):
    tensors, fisher = world
    pair = {k: tensors[k] for k in "0ac"}, fisher, {"a": "utility", "c": "safety"}
    found = merge(*pair, layer_weight=4.0, filter="soft", cost=0.4)
    torch.testing.assert_close(found, merge(*pair, filter="soft", cost=0.1))


@pytest.fixture
def two_layers(tmp_path):
    """Two experts' statistics of two layers of unlike scale, in one directory each."""
    import json

    from safetensors.torch import load_file, save_file

    made = {}
    for key, seeds in (("a", (1, 2)), ("c", (3, 4))):
        first = write_statistics(tmp_path / key, seeds[0])
        second = write_statistics(tmp_path / f"{key}2", seeds[1], OTHER)
        file = "statistics-00001-of-00001.safetensors"
        tensors = load_file(tmp_path / key / file)
        scale = 9.0 if key == "c" else 1.0
        louder = ("input", "output", "diagonal", "scores")
        tensors |= {
            k: (scale if k.rpartition(".")[2] in louder else 1.0) * t
            for k, t in load_file(f"{second}/{file}").items()
        }
        save_file(tensors, tmp_path / key / file)
        body, more = (json.loads((tmp_path / d / "manifest.json").read_text()) for d in (key, f"{key}2"))
        layer = more["layers"][OTHER]
        layer["traces"] = {n: (scale if n in louder else 1.0) * t for n, t in layer["traces"].items()}
        body["layers"][OTHER] = layer
        body["weight_map"] |= more["weight_map"]
        (tmp_path / key / "manifest.json").write_text(json.dumps(body))
        seal(tmp_path / key)
        made[key] = first
    return made


def test_without_balance_all_layers_count_the_same(two_layers, experts):
    tensors = dict(zip(("0", "a", "c"), experts, strict=True))
    role = {"a": "utility", "c": "safety"}
    stores = [open_statistics(two_layers[key]) for key in ("c", "a")]
    kronecker = GEOMETRIES["kronecker"]
    harm, benign = (store.tensors(store.find(OTHER), kronecker.needs) for store in stores)
    kept = filter_patch(kronecker, tensors["c"] - tensors["0"], harm, benign, 1.0, FilterSettings())
    found = merge(tensors, two_layers, role, name=OTHER, balance="none")
    torch.testing.assert_close(found, tensors["a"] + kept.float())
    assert not torch.allclose(found, merge(tensors, two_layers, role, name=OTHER))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_many_experts_are_pooled_by_subtraction(tmp_path, geometry, monkeypatch):
    """Eight experts, and each one's statistics are read three times for a weight, not eight."""
    generator = torch.Generator().manual_seed(31)
    ids = [f"e{i}" for i in range(8)]
    base = torch.randn(OUT, IN, generator=generator)
    tensors = {"0": base} | {i: base + 0.1 * torch.randn(OUT, IN, generator=generator) for i in ids}
    fisher = {key: write_statistics(tmp_path / key, seed) for seed, key in enumerate(ids)}
    weight = {key: 0.5 + 0.1 * i for i, key in enumerate(ids)}
    reads = []
    real = StatisticsStore.tensors
    monkeypatch.setattr(StatisticsStore, "tensors", lambda *a, **k: (reads.append(1), real(*a, **k))[1])
    choice = {"geometry": geometry, "weight": weight, "strength": 0.3}
    found = merge(tensors, fisher, dict.fromkeys(ids, "expert"), **choice)
    if geometry != "subspace":
        assert len(reads) == 3 * len(ids)  # for the sum, as the patch's own, and to be left out
    monkeypatch.undo()
    expected = base.double()
    for key in ids:
        others = [other for other in ids if other != key]
        benign = pooled([fisher[o] for o in others], [weight[o] for o in others], geometry)
        harm = read(fisher[key], geometry)
        kept = filter_patch(GEOMETRIES[geometry], tensors[key] - base, harm, benign, 1.0, DEFAULTS)
        expected = expected + 0.3 * weight[key] * kept
    torch.testing.assert_close(found, expected.float())


def test_statistics_measured_again_are_read_again(two_layers, experts, tmp_path):
    """A process that merges twice sees what is on disk, not what it has cached."""
    import os
    from pathlib import Path

    from safetensors.torch import load_file, save_file

    tensors = dict(zip(("0", "a", "c"), experts, strict=True))
    role = {"a": "utility", "c": "safety"}
    choice = {"filter": "hard", "density": 0.7}
    before = merge(tensors, two_layers, role, **choice)
    path = Path(two_layers["a"])
    file = path / "statistics-00001-of-00001.safetensors"
    save_file({key: tensor.flip(0, 1).contiguous() for key, tensor in load_file(file).items()}, file)
    seal(path)
    os.utime(path / "manifest.json", ns=(1, 1))
    assert not torch.equal(before, merge(tensors, two_layers, role, **choice))
