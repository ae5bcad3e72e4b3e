"""The method inside its host: whole merges by mergekit's planner and by the stock command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics

import sst_mergekit
from sst_mergekit.errors import RecipeError

ATTENTION = "model.layers.{}.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A base, a full utility expert, a safety adapter, and statistics of both."""
    folder = tmp_path_factory.mktemp("host")
    base = tiny_llama(folder / "base", 0)
    tiny_llama(folder / "utility", 1)
    tiny_adapter(folder / "safety", base, 2)
    data = tiny_data(folder / "data.jsonl")
    tiny_statistics(folder / "fisher-utility", folder / "utility", data)
    tiny_statistics(folder / "fisher-safety", base, data, adapter=folder / "safety")
    return folder


def recipe(world, order=(0, 1), **parameters):
    models = [
        {"model": f"{world}/utility", "parameters": {"role": "utility", "fisher": f"{world}/fisher-utility"}},
        {
            "model": f"{world}/base+{world}/safety",
            "parameters": {"role": "safety", "fisher": f"{world}/fisher-safety"},
        },
    ]
    return {
        "merge_method": "sst",
        "base_model": f"{world}/base",
        "models": [models[i] for i in order],
        "parameters": parameters,
        "dtype": "float32",
    }


def merge(world, out, **choice) -> dict[str, torch.Tensor]:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    sst_mergekit.register()
    options = MergeOptions(
        quiet=True, lora_merge_cache=str(world / "cache"), lora_merge_dtype="float32", copy_tokenizer=False
    )
    run_merge(MergeConfiguration.model_validate(recipe(world, **choice)), str(out), options=options)
    return load_file(next(out.glob("*.safetensors")))


def test_a_merge_that_adds_nothing_is_refused_and_leaves_nothing(world, tmp_path):
    with pytest.raises(RecipeError, match="the utility expert, nothing was added .21 weights: 21 equal"):
        merge(world, tmp_path / "out", strength=0.0)
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_the_order_of_models_does_not_matter(world, tmp_path):
    one = merge(world, tmp_path / "one")
    other = merge(world, tmp_path / "other", order=(1, 0))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_layer_gradients_and_name_filters_work(world, tmp_path):
    utility = load_file(world / "utility" / "model.safetensors")
    full = merge(world, tmp_path / "full", strength=1.0)
    ramp = merge(world, tmp_path / "ramp", strength=[0.0, 1.0])
    assert torch.equal(ramp[ATTENTION.format(0)], utility[ATTENTION.format(0)])
    assert torch.equal(ramp[ATTENTION.format(1)], full[ATTENTION.format(1)])
    only = [{"value": 1.0, "filter": "mlp"}, {"value": 0.0}]
    mlp = merge(world, tmp_path / "mlp", strength=only)
    assert torch.equal(mlp[ATTENTION.format(1)], utility[ATTENTION.format(1)])
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.equal(mlp[name], full[name])
    assert not torch.equal(full[name], utility[name])


def test_a_separable_merge_of_an_adapter_keeps_its_rank(world, tmp_path):
    merged = merge(world, tmp_path / "out")
    utility = load_file(world / "utility" / "model.safetensors")
    patch = (merged[ATTENTION.format(0)] - utility[ATTENTION.format(0)]).double()
    values = torch.linalg.svdvals(patch)
    assert values[1] > 1e-4 * values[0]
    assert values[2] < 1e-5 * values[0]


def stock(world, out, body, hash_seed, cache=True):
    """Run the stock console script, as a user who never imports our package."""
    path = out.parent / f"{out.name}.yml"
    path.write_text(yaml.safe_dump(body))
    command = [str(Path(sys.executable).with_name("mergekit-yaml")), str(path), str(out)]
    more = ["--lora-merge-dtype", "float32", "--quiet"]
    more += ["--lora-merge-cache", str(out.parent / "cache")] if cache else []
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run([*command, *more], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_stock_mergekit_writes_the_same_bytes_under_two_hash_seeds(world, tmp_path):
    written = []
    for seed in (0, 1):
        out = tmp_path / f"out{seed}"
        done = stock(world, out, recipe(world, filter="shuffled", seed=3), seed)
        assert done.returncode == 0, done.stderr
        written.append(next(out.glob("*.safetensors")).read_bytes())
    assert written[0] == written[1]


@pytest.mark.slow
def test_stock_mergekit_takes_adapters_without_a_cache_where_sst_is_the_method(world, tmp_path):
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
        done = stock(world, tmp_path / name / "out", recipe(world), 0, cache=name == "with")
        assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "without").iterdir()) == ["out", "out.yml"]
    written = [next((tmp_path / n / "out").glob("*.safetensors")).read_bytes() for n in ("with", "without")]
    assert written[0] == written[1]


@pytest.mark.slow
def test_other_methods_still_want_a_cache(world, tmp_path):
    body = recipe(world) | {"merge_method": "task_arithmetic"}
    for model in body["models"]:
        model["parameters"] = {"weight": 1.0}
    done = stock(world, tmp_path / "out", body, 0, cache=False)
    assert done.returncode != 0
    assert "Need to specify cache dir to merge adapters" in done.stderr


@pytest.mark.slow
def test_stock_mergekit_shows_our_error(world, tmp_path):
    done = stock(world, tmp_path / "out", recipe(world, filter="sofd"), 0)
    assert done.returncode != 0
    assert "filter: got 'sofd' (did you mean 'soft'?)" in done.stderr
