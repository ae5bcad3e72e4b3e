"""Recipes for the stock commands, and what they must write."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file


def sst_recipe(models: dict[str, str], ending: str = "") -> dict:
    """Return a recipe whose safety patch is zero, so that its result is the skilled model, exactly.

    No statistics are read for a patch of zeros; that the numbers are right is for tests/plugin to say.
    """
    roles = {"skilled": "utility", "careful": "safety"}
    experts = [
        {"model": models[name] + ending, "parameters": {"role": role, "fisher": "/not/read"}}
        for name, role in roles.items()
    ]
    return {
        "merge_method": "sst",
        "base_model": models["base"] + ending,
        "models": experts,
        "dtype": "float32",
    }


def linear_recipe(models: dict[str, str]) -> dict:
    """Return a recipe for a method of mergekit's own, whose result is the skilled model."""
    weights = {"base": 0.0, "skilled": 1.0}
    inputs = [{"model": models[name], "parameters": {"weight": weight}} for name, weight in weights.items()]
    return {"merge_method": "linear", "models": inputs, "dtype": "float32"}


def written(folder: Path, *recipes: dict) -> Path:
    """Return the file that holds the recipes, one YAML document each."""
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump_all(recipes))
    return path


def same_weights(folder: Path, model: str) -> bool:
    """Return whether two checkpoints hold the same tensors, bit for bit."""
    merged, expected = (load_file(Path(path) / "model.safetensors") for path in (folder, model))
    return merged.keys() == expected.keys() and all(
        torch.equal(merged[name], expected[name]) for name in merged
    )
