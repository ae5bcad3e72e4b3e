"""The whole merge written out naively: dense matrices, explicit inverses, scales by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from lora_world import World, changes, made
from safetensors.torch import load_file

COST, DAMPING, STRENGTH = 0.4, 0.2, 1.5


def scale_of(expert: str, name: str) -> float:
    """The scales of lora_world's adapters: alpha / r with patterns for skill, alpha / sqrt(r) for guard."""
    if expert == "guard":
        return 2 / math.sqrt(4)
    alpha = 5 if "layers.1.self_attn.q_proj" in name else 3
    return alpha / (3 if "up_proj" in name else 2)


def delta(world: World, expert: str, name: str) -> torch.Tensor | None:
    tensors = load_file(world.root / expert / "adapter_model.safetensors")
    key = "base_model.model." + name.replace(".weight", ".lora_{}.weight")
    if key.format("A") not in tensors:
        return None
    return scale_of(expert, name) * tensors[key.format("B")].double() @ tensors[key.format("A")].double()


def statistics(world: World, expert: str) -> tuple[dict, dict[str, torch.Tensor]]:
    folder = world.root / f"fisher-{expert}"
    tensors: dict[str, torch.Tensor] = {}
    for path in folder.glob("*.safetensors"):
        tensors |= load_file(path)
    return json.loads((folder / "manifest.json").read_text())["layers"], tensors


def matrix(tensors: dict[str, torch.Tensor], key: str) -> torch.Tensor:
    factor = tensors[key].double()
    factor = torch.diag(factor) if factor.ndim == 1 else factor
    size = len(factor)
    return factor * size / factor.trace() + DAMPING * torch.eye(size, dtype=torch.float64)


def kappa(name: str, harm: dict, benign: dict) -> float:
    shares = []
    for layers in (harm, benign):
        traces = {key: layer["traces"]["input"] * layer["traces"]["output"] for key, layer in layers.items()}
        shares.append(traces[name] / sum(traces.values()))
    return min(10.0, max(0.1, shares[0] / shares[1]))


def test_sst_is_utility_plus_strength_times_ldr(world: World, tmp_path: Path) -> None:
    adapter = made(world.sst(strength=STRENGTH, cost=COST, damping=DAMPING), tmp_path / "out")
    (harm, harm_tensors), (benign, benign_tensors) = statistics(world, "guard"), statistics(world, "skill")
    expected = {}
    for name in world.weights():
        utility, patch = delta(world, "skill", name), delta(world, "guard", name)
        parts = [] if utility is None else [utility]
        if patch is not None:
            each = math.sqrt(COST / kappa(name, harm, benign))
            keys = harm[name]["tensors"], benign[name]["tensors"]
            g_h, a_h = (matrix(harm_tensors, keys[0][slot]) for slot in ("output", "input"))
            g_b, a_b = (matrix(benign_tensors, keys[1][slot]) for slot in ("output", "input"))
            left = torch.linalg.inv(g_h + each * g_b) @ g_h
            right = a_h @ torch.linalg.inv(a_h + each * a_b)
            parts.append(STRENGTH * left @ patch @ right)
        if parts:
            expected[name] = sum(parts)
    got = changes(adapter, world.base)
    assert got.keys() == expected.keys()
    assert len(got) == 8
    for name, change in got.items():
        torch.testing.assert_close(change, expected[name], rtol=1e-4, atol=1e-6)


def test_task_arithmetic_is_the_weighted_sum(world: World, tmp_path: Path) -> None:
    adapter = made(world.weighted("task_arithmetic", {"skill": 0.7, "guard": -0.4}), tmp_path / "out")
    got = changes(adapter, world.base)
    for name in world.weights():
        parts = [(0.7, delta(world, "skill", name)), (-0.4, delta(world, "guard", name))]
        parts = [weight * part for weight, part in parts if part is not None]
        assert bool(parts) == (name in got)
        if parts:
            torch.testing.assert_close(got[name], sum(parts), rtol=1e-4, atol=1e-6)
