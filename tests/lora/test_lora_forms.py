"""Every form of adapter: embeddings, Conv1D, names, dtypes; the same result in any order and every time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from lora_world import World, changes, configuration, full_merge, made, make_adapter
from safetensors.torch import load_file, save_file
from test_lora_equals_full import PAIR, assert_same_weights
from tiny import tiny_data, tiny_statistics, tiny_tokenizer

SHARED = {"linear": {"weight": 0.1}, "task_arithmetic": {}}  # what the base itself weighs
FILES = ["README.md", "adapter_config.json", "adapter_model.safetensors", "mergekit_config.yml"]


def test_embeddings_and_heads(world: World, tmp_path: Path) -> None:
    wide = make_adapter(
        tmp_path / "wide", world.base, 7, r=2, target_modules=["embed_tokens", "lm_head", "q_proj"]
    )
    fisher = tiny_statistics(tmp_path / "f", world.base, world.root / "data.jsonl", adapter=wide)
    recipe = world.sst()
    recipe["models"][1] = {
        "model": f"{world.base}+{wide}",
        "parameters": {"role": "safety", "fisher": str(fisher)},
    }
    adapter = made(recipe, tmp_path / "out")
    assert "base_model.model.model.embed_tokens.lora_embedding_A" in load_file(adapter / FILES[2])
    assert_same_weights(world, adapter, full_merge(world, recipe, tmp_path / "full"))


def test_conv1d_is_stored_transposed(world: World, tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 1}
        sizes = {"n_embd": 8, "n_layer": 2, "n_head": 2, "vocab_size": 32, "n_positions": 32}
        GPT2LMHeadModel(GPT2Config(**sizes, **ends)).save_pretrained(tmp_path / "base")
    own = World.__new__(World)
    own.root, own.base = tmp_path, tiny_tokenizer(tmp_path / "base")
    data = tiny_data(tmp_path / "data.jsonl")
    for seed, (name, rank) in enumerate((("skill", 2), ("guard", 3))):
        make_adapter(
            tmp_path / name, own.base, seed, r=rank, target_modules=["c_attn", "c_fc"], fan_in_fan_out=True
        )
        tiny_statistics(tmp_path / f"fisher-{name}", own.base, data, adapter=tmp_path / name)
    for name, recipe in {"sst": own.sst(), "linear": own.weighted("linear", PAIR, weight=0.2)}.items():
        adapter = made(recipe, tmp_path / f"{name}-out")
        assert configuration(adapter)["fan_in_fan_out"] is True
        full = full_merge(own, recipe, tmp_path / f"{name}-full")
        base = own.weights()
        for weight, change in changes(adapter, own.base).items():
            bare = weight.removeprefix("transformer.")
            one, other = (next(t[k] for k in (weight, bare) if k in t) for t in (full, base))
            torch.testing.assert_close(change, one.double() - other.double(), rtol=1e-4, atol=3e-6)
            assert change.abs().max() > 1e-2


def test_no_weights_of_the_base_are_needed(world: World, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(world.root, tmp_path / "copy", ignore=shutil.ignore_patterns("cache")))
    kept = {"sst": world.sst(), "interpolate": world.sst(patch="interpolate", filter="soft")}
    expected = {name: made(recipe, tmp_path / f"{name}-a") for name, recipe in kept.items()}
    shutil.rmtree(copy / "base")
    (copy / "base").mkdir()
    shutil.copy(world.base / "config.json", copy / "base")
    own = World.__new__(World)
    own.root, own.base = copy, copy / "base"
    again = {"sst": own.sst(), "interpolate": own.sst(patch="interpolate", filter="soft")}
    for name, recipe in again.items():
        adapter = made(recipe, tmp_path / f"{name}-b")
        assert (adapter / FILES[2]).read_bytes() == (expected[name] / FILES[2]).read_bytes()


@pytest.mark.parametrize("method", ["sst", "linear", "task_arithmetic"])
def test_the_order_of_models_does_not_matter(world: World, method: str, tmp_path: Path) -> None:
    weights = {"skill": 0.7, "guard": 0.4, "second": 0.31}
    recipe = (
        world.sst(tuple(weights)) if method == "sst" else world.weighted(method, weights, **SHARED[method])
    )
    other = recipe | {"models": recipe["models"][::-1]}
    one, two = made(recipe, tmp_path / "one"), made(other, tmp_path / "two")
    for name in FILES[1:3]:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_two_runs_write_the_same_bytes(world: World, tmp_path: Path) -> None:
    recipe = world.sst(filter="shuffled")
    one, two = made(recipe, tmp_path / "a" / "out"), made(recipe, tmp_path / "b" / "out")
    assert sorted(path.name for path in one.iterdir()) == FILES
    for name in FILES:
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_factors_are_float32_or_the_recipes_out_dtype(world: World, tmp_path: Path) -> None:
    for dtype, expected in ((None, torch.float32), ("bfloat16", torch.bfloat16)):
        recipe = world.sst() | ({"out_dtype": dtype} if dtype else {})
        tensors = load_file(made(recipe, tmp_path / str(dtype)) / FILES[2])
        assert {tensor.dtype for tensor in tensors.values()} == {expected}


def test_on_missing_keep_leaves_the_utility_experts_layers(world: World, tmp_path: Path) -> None:

    fisher = Path(shutil.copytree(world.root / "fisher-guard", tmp_path / "fisher"))
    body = json.loads((fisher / "manifest.json").read_text())
    gone = ["model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.v_proj.weight"]
    for name in gone:
        del body["layers"][name]
    (fisher / "manifest.json").write_text(json.dumps(body))
    recipe = world.sst(on_missing="keep")
    recipe["models"][1]["parameters"]["fisher"] = str(fisher)
    adapter = made(recipe, tmp_path / "out")
    assert_same_weights(world, adapter, full_merge(world, recipe, tmp_path / "full"))
    got = changes(adapter, world.base)
    torch.testing.assert_close(got[gone[0]], changes(world.root / "skill", world.base)[gone[0]])
    assert gone[1] not in got


def test_a_layer_that_is_not_changed_is_left_out(world: World, tmp_path: Path) -> None:
    recipe = world.sst(on_missing="keep")
    recipe["parameters"]["strength"] = [{"filter": "layers.1", "value": 1e-12}, {"value": 0.0}]
    got = changes(made(recipe, tmp_path / "out"), world.base)
    expected = changes(world.root / "skill", world.base)
    first = {name for name in expected if "layers.0" in name}
    assert {name for name in got if "layers.0" in name} == first
    for name in first:
        torch.testing.assert_close(got[name], expected[name])


def test_a_layer_that_was_never_trained_is_left_out_and_needs_no_statistics(
    world: World, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(world.root / "guard", tmp_path / "copy"))
    tensors = load_file(copy / FILES[2])
    gone = "model.layers.0.self_attn.v_proj"
    tensors[f"base_model.model.{gone}.lora_B.weight"].zero_()
    save_file(tensors, copy / FILES[2])
    recipe = world.weighted("task_arithmetic", {"skill": 1.0, "guard": 1.0})
    recipe["models"][1]["model"] = f"{world.base}+{copy}"
    assert f"{gone}.weight" not in changes(made(recipe, tmp_path / "out"), world.base)
    fisher = Path(shutil.copytree(world.root / "fisher-guard", tmp_path / "fisher"))
    body = json.loads((fisher / "manifest.json").read_text())
    del body["layers"][f"{gone}.weight"]
    (fisher / "manifest.json").write_text(json.dumps(body))
    recipe = world.sst()
    recipe["models"][1]["model"] = f"{world.base}+{copy}"
    recipe["models"][1]["parameters"]["fisher"] = str(fisher)
    adapter = made(recipe, tmp_path / "sst", "--no-check")
    assert_same_weights(world, adapter, full_merge(world, recipe, tmp_path / "full"))
