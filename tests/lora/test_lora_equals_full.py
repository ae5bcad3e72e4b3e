"""The merged adapter on the base is the full merge: weights, logits, ranks, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lora_world import World, changes, configuration, full_merge, made
from peft import PeftModel
from transformers import AutoModelForCausalLM

GRADIENT = [0.2, 1.4]
FILTERED = [{"value": [0.0, 1.0], "filter": "q_proj"}, {"value": 0.5}]


PAIR = {"skill": 0.7, "guard": 0.4}


def with_base(world: World) -> dict[str, Any]:
    recipe = world.weighted("linear", PAIR)
    recipe["models"].append({"model": str(world.base), "parameters": {"weight": 0.6}})
    return recipe


def without_base_model(world: World) -> dict[str, Any]:
    recipe = world.weighted("linear", PAIR)
    del recipe["base_model"]
    return recipe


RECIPES = {
    "sst": lambda w: w.sst(strength=1.3),
    "sst of two safety experts": lambda w: w.sst(("skill", "guard", "second"), strength=0.6, cost=0.5),
    "sst activation": lambda w: w.sst(geometry="activation", cost=1.0),
    "sst activation soft": lambda w: w.sst(geometry="activation", filter="soft", damping=0.5),
    "sst interpolate": lambda w: w.sst(patch="interpolate", strength=0.8),
    "sst strength by layer": lambda w: w.sst(strength=GRADIENT),
    "sst strength by name": lambda w: w.sst(strength=FILTERED),
    "sst cost by layer": lambda w: w.sst(cost=[0.0, 2.0]),
    "null_space": lambda w: w.projected(energy=0.6, strength=1.3),
    "null_space by layer": lambda w: w.projected(energy=0.8, strength=GRADIENT),
    "null_space without energy": lambda w: w.projected(energy=0.0, strength=FILTERED),
    "task_arithmetic": lambda w: w.weighted("task_arithmetic", PAIR, **{"lambda": 0.9}),
    "task_arithmetic normalised": lambda w: w.weighted("task_arithmetic", PAIR, normalize=True),
    "task_arithmetic by layer": lambda w: w.weighted("task_arithmetic", {"skill": GRADIENT, "guard": 0.5}),
    "linear": lambda w: w.weighted("linear", PAIR | {"second": 0.1}, weight=0.3),
    "linear with the base": with_base,
    "linear without base_model": without_base_model,
    "linear that sums to 1": lambda w: w.weighted(
        "linear", {"skill": [0.3, 0.9], "guard": [0.7, 0.1]}, normalize=False, weight=0.0
    ),
}


def assert_same_weights(world: World, adapter: Path, full: dict[str, torch.Tensor]) -> None:
    """The adapter's change of every weight is the full merge's, to float32's precision."""
    base, change = world.weights(), changes(adapter, world.base)
    for name, weight in base.items():
        expected = full[name].double() - weight.double()
        got = change.get(name, torch.zeros_like(expected))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=3e-6, msg=lambda m, n=name: f"{n}: {m}")
    assert any(bool(change[name].abs().max() > 1e-2) for name in change)


@pytest.mark.parametrize("name", RECIPES)
def test_weights_equal_the_full_merge(world: World, name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name](world)
    adapter = made(recipe, tmp_path / "out")
    assert_same_weights(world, adapter, full_merge(world, recipe, tmp_path / "full"))


def test_logits_equal_the_full_merge(world: World, tmp_path: Path) -> None:
    recipe = world.sst(strength=1.3)
    full_merge(world, recipe, tmp_path / "full")
    adapter = made(recipe, tmp_path / "out")
    tokens = torch.arange(4, 24).view(2, 10)
    base = AutoModelForCausalLM.from_pretrained(world.base)
    with torch.no_grad():
        plain = base(tokens).logits
        got = PeftModel.from_pretrained(base, adapter)(tokens).logits
        expected = AutoModelForCausalLM.from_pretrained(tmp_path / "full")(tokens).logits
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4)
    assert (got - plain).abs().max() > 0.05


def test_ranks_add_up_and_are_listed(world: World, tmp_path: Path) -> None:
    config = configuration(made(world.sst(), tmp_path / "out"))
    layers = {f"model.layers.{i}.": i for i in (0, 1)}
    ranks = {"self_attn.q_proj": 6, "mlp.up_proj": 3, "mlp.down_proj": 4, "self_attn.v_proj": 4}
    expected = {prefix + name: rank for prefix in layers for name, rank in ranks.items()}
    assert config["target_modules"] == sorted(expected)
    assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (6, 6, False)
    pattern = {f"^{name}": rank for name, rank in expected.items() if rank != 6}
    assert config["rank_pattern"] == config["alpha_pattern"] == pattern
    assert config["base_model_name_or_path"] == str(world.base)
    change = changes(tmp_path / "out", world.base)
    for name, rank in expected.items():
        values = torch.linalg.svdvals(change[f"{name}.weight"])
        assert int((values > 1e-5 * values[0]).sum()) == rank, name
