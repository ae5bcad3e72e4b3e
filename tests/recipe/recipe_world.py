"""A tiny world of models, adapters and statistics, and recipes on it."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics

from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.recipe.fault import Fault

Raw = dict[str, Any]


class World:
    """Models ``base``, ``utility``, ``safety``, adapters ``skill`` and ``guard``, statistics ``fisher-*``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for seed, name in enumerate(("base", "utility", "safety")):
            tiny_llama(root / name, seed)
        for seed, name in enumerate(("skill", "guard")):
            tiny_adapter(root / name, root / "base", seed)
        data = tiny_data(root / "data.jsonl")
        for name in ("utility", "safety"):
            tiny_statistics(root / f"fisher-{name}", root / name, data)
        for name in ("skill", "guard"):
            tiny_statistics(root / f"fisher-{name}", root / "base", data, adapter=root / name)
        tiny_statistics(root / "fisher-activation", root / "safety", data, kind="activation")

    def path(self, name: str) -> str:
        """Return the path of a model, adapter or directory of statistics."""
        return str(self.root / name)

    def sst(self) -> Raw:
        """Return a recipe of full models without a fault."""
        return {
            "merge_method": "sst",
            "base_model": self.path("base"),
            "models": [self.expert("utility", "utility"), self.expert("safety", "safety")],
            "parameters": {"strength": 0.7},
            "dtype": "float32",
        }

    def expert(self, name: str, role: str) -> Raw:
        """Return a full model with its role and statistics."""
        return {"model": self.path(name), "parameters": {"role": role, "fisher": self.path(f"fisher-{name}")}}

    def lora(self) -> Raw:
        """Return a recipe of adapters without a fault, if a cache is given."""
        recipe = self.sst()
        for item, name in zip(recipe["models"], ("skill", "guard"), strict=True):
            item["model"] = f"{self.path('base')}+{self.path(name)}"
            item["parameters"]["fisher"] = self.path(f"fisher-{name}")
        return recipe

    def ties(self) -> Raw:
        """Return a recipe of another method without a fault."""
        recipe = self.sst()
        for item in recipe["models"]:
            item["parameters"] = {"weight": 1.0, "density": 0.5}
        return recipe | {"merge_method": "ties", "parameters": {"normalize": True}}


def changed(recipe: Raw, changes: dict[str, Any]) -> Raw:
    """Return a copy with values set at dotted keys (``models.1.parameters.role``); None removes the key."""
    recipe = copy.deepcopy(recipe)
    for key, value in changes.items():
        *parents, last = (int(part) if part.isdigit() else part for part in key.split("."))
        at: Any = recipe
        for part in parents:
            at = at[part] if isinstance(at, list) else at.setdefault(part, {})
        if value is None:
            del at[last]
        else:
            at[last] = value
    return recipe


def faults_of(recipe: Raw, directory: Path, **options: Any) -> list[Fault]:
    """Return the faults of a recipe, by way of a file."""
    path = directory / "recipe.yml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return check_recipe(path, **options)


def only(faults: list[Fault], pattern: str, warning: bool = False) -> None:
    """Assert that there is one fault, and that it fits the pattern."""
    assert len(faults) == 1, list(map(str, faults))
    assert re.search(pattern, str(faults[0])), str(faults[0])
    assert faults[0].warning is warning
