"""Recipes for the stock commands, and what they must write."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file


def sst_recipe(models: dict[str, str], ending: str = "") -> dict:
    """Return a recipe that adds the careful model's patch whole: half of one in the last norm, exactly.

    No statistics are read; that the numbers are right is for tests/plugin to say.
    """
    roles = {"skilled": "utility", "careful": "safety"}
    experts = [{"model": models[name] + ending, "parameters": {"role": role}} for name, role in roles.items()]
    return {
        "merge_method": "sst",
        "base_model": models["base"] + ending,
        "models": experts,
        "parameters": {"filter": "data_free", "cost": 0.0},
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


def same_weights(folder: Path, model: str, patches: int = 0) -> bool:
    """Return whether a checkpoint is the model with so many of `sst_recipe`'s patches, bit for bit."""
    merged, expected = (load_file(Path(path) / "model.safetensors") for path in (folder, model))
    expected["model.norm.weight"] += patches / 2
    return merged.keys() == expected.keys() and all(
        torch.equal(merged[name], expected[name]) for name in merged
    )
