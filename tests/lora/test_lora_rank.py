"""Filters that do not keep the rank, and --rank: dense twins, singular values and what is printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from lora_world import World, changes, configuration, full_merge, lora, made
from test_lora_equals_full import PAIR, assert_same_weights

FULL = "24"  # the largest side of a layer of the tiny model
NOT_KEPT = {
    "soft": {"filter": "soft"},
    "hard": {"filter": "hard", "density": 0.2},
    "shuffled": {"filter": "shuffled", "seed": 5},
    "diagonal": {"geometry": "diagonal"},
    "activation hard": {"geometry": "activation", "filter": "hard"},
}


def retained(output: str) -> list[float]:
    """Return the two figures of the summary: in all, and the least of a layer."""
    found = re.search(r"retained energy (\d\.\d+) in all, least (\d\.\d+) \(model", output)
    assert found, output
    return [float(found[1]), float(found[2])]


@pytest.mark.parametrize("name", NOT_KEPT)
def test_at_full_rank_it_is_the_full_merge(world: World, name: str, tmp_path: Path) -> None:
    kind = "fisher-diagonal-" if name == "diagonal" else "fisher-"
    recipe = world.sst(strength=1.2, **NOT_KEPT[name])
    for item, expert in zip(recipe["models"], ("skill", "guard"), strict=True):
        item["parameters"]["fisher"] = f"{world.root}/{kind}{expert}"
    result = lora(recipe, tmp_path / "out", "--rank", FULL)
    assert result.exit_code == 0, result.output
    assert retained(result.output) == [1.0, 1.0]
    assert_same_weights(world, tmp_path / "out", full_merge(world, recipe, tmp_path / "full"))


def test_without_a_rank_it_is_the_best_of_the_inputs_rank(world: World, tmp_path: Path) -> None:
    recipe = world.sst(strength=2.0, filter="soft")
    result = lora(recipe, tmp_path / "out")
    assert result.exit_code == 0
    full, base = full_merge(world, recipe, tmp_path / "full"), world.weights()
    got = changes(tmp_path / "out", world.base)
    shares, kept, every = {}, 0.0, 0.0
    ranks = {"self_attn.q_proj": 6, "mlp.down_proj": 4, "self_attn.v_proj": 4, "mlp.up_proj": 3}
    for name, change in got.items():
        rank = ranks[".".join(name.split(".")[3:5])]
        u, values, vh = torch.linalg.svd(full[name].double() - base[name].double(), full_matrices=False)
        torch.testing.assert_close(change, (u[:, :rank] * values[:rank]) @ vh[:rank], rtol=1e-3, atol=1e-5)
        energy = values.square()
        shares[name] = float(energy[:rank].sum() / energy.sum())
        kept, every = kept + float(energy[:rank].sum()), every + float(energy.sum())
    assert retained(result.output) == pytest.approx([kept / every, min(shares.values())], abs=2e-4)
    assert f"({min(shares, key=shares.__getitem__).removesuffix('.weight')})" in result.output


@pytest.mark.parametrize("rank", [1, 3])
def test_rank_cuts_the_smallest_singular_values(world: World, rank: int, tmp_path: Path) -> None:
    recipe = world.weighted("task_arithmetic", PAIR)
    whole = changes(made(recipe, tmp_path / "whole"), world.base)
    result = lora(recipe, tmp_path / "cut", "--rank", str(rank))
    cut = changes(tmp_path / "cut", world.base)
    lost = every = 0.0
    for name, change in whole.items():
        values = torch.linalg.svdvals(change).square()
        error = (cut[name] - change).square().sum()
        torch.testing.assert_close(error, values[rank:].sum(), rtol=1e-4, atol=1e-8)
        lost, every = lost + float(values[rank:].sum()), every + float(values.sum())
    assert configuration(tmp_path / "cut")["r"] == rank
    assert retained(result.output)[0] == pytest.approx(1 - lost / every, abs=1e-4)
    assert "warning: " in result.stderr
    assert "keep less than 0.99 of their energy; raise --rank" in result.stderr


def test_exact_is_said_and_nothing_is_warned(world: World, tmp_path: Path) -> None:
    result = lora(world.sst(), tmp_path / "out")
    assert result.stdout == f"{tmp_path / 'out'}: 8 layers, ranks 3 to 6, exact.\n"
    assert result.stderr == ""
    assert "8 layers, ranks 3 to 6, exact." in (tmp_path / "out" / "README.md").read_text()


def test_a_rank_that_is_large_enough_changes_nothing(world: World, tmp_path: Path) -> None:
    one, other = made(world.sst(), tmp_path / "one"), made(world.sst(), tmp_path / "other", "--rank", "6")
    name = "adapter_model.safetensors"
    assert (one / name).read_bytes() == (other / name).read_bytes()
