"""Tiny checkpoints, their statistics, and a recipe for each baseline on them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny import tiny_data, tiny_llama, tiny_statistics

import sst_mergekit
from sst_mergekit.baselines import found
from sst_mergekit.baselines.shared.method import Experts
from sst_mergekit.errors import SstError
from sst_mergekit.recipe.check import check_recipe
from sst_mergekit.statistics.store import open_statistics

MODELS = ("base", "utility", "safety", "unaligned")
KINDS = ("diagonal", "kronecker", "activation")
LINEAR = "model.layers.1.mlp.up_proj.weight"
NORM = "model.norm.weight"
EMBEDDING = "model.embed_tokens.weight"
CHANGING = {  # more than a comparison's first settings do, on experts that share nothing
    "safemerge": {"threshold": 1.0},
    "safe_lora": {"threshold": 1.0},
    "mergealign": {"interpolation": "slerp"},
}
Tensors = dict[str, torch.Tensor]


class World:
    """Models by name, and of all but the last their statistics of each kind in ``name-kind``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for seed, name in enumerate(MODELS):
            tiny_llama(root / name, seed)
        data = tiny_data(root / "data.jsonl")
        for part in ("benign", "harm"):
            (root / f"base-on-{part}-diagonal").symlink_to(root / "base-diagonal")
        for name in MODELS[:3]:
            for kind in KINDS:
                tiny_statistics(root / f"{name}-{kind}", root / name, data, kind=kind)

    def path(self, name: str) -> str:
        return str(self.root / name)

    def recipe(self, method: str, **shared: Any) -> dict[str, Any]:
        """Return a baseline's recipe as a comparison has it, with shared parameters of ours."""
        row = next(baseline.row for baseline in found() if baseline.row.name == method)
        settings = {"strength": row.strength} | ({row.second[0]: row.second[1][0]} if row.second else {})
        experts = Experts(*map(self.path, ("base", "utility", "safety", "", "refits")))
        body = row.recipe(experts, settings)
        body["parameters"] |= CHANGING.get(method, {}) | shared
        return body


def merge(recipe: dict, out: Path, **options) -> Tensors:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    sst_mergekit.register()
    options = MergeOptions(quiet=True, copy_tokenizer=False, **options)
    run_merge(MergeConfiguration.model_validate(recipe), str(out), options=options)
    return load_file(next(out.glob("*.safetensors")))


def assert_both_say(
    world: World, method: str, change: dict[str, Any], message: str, folder: Path, alone: bool = True
) -> None:
    """The check, and `alone`, and the merge refuse ``models.N.parameter`` as changed (None: left out)."""
    recipe = world.recipe(method)
    for key, value in change.items():
        _, index, name = key.split(".")
        parameters = recipe["models"][int(index)]["parameters"]
        parameters[name] = value
        if value is None:
            del parameters[name]
    path = folder / "recipe.yml"
    path.write_text(yaml.safe_dump(recipe))
    faults = [str(fault) for fault in check_recipe(path)]
    assert any(re.search(message, fault) for fault in faults), faults
    assert len(faults) == 1 or not alone, faults
    with pytest.raises(SstError, match=message):
        merge(recipe, folder / "out")


def one_tensor(method: str, tensors: dict[str, torch.Tensor], name: str = LINEAR, **parameters):
    """Merge {id: tensor}, the first being the base, by the method's own calling convention."""
    from mergekit.merge_methods import registry
    from mergekit.merge_methods.base import TensorGroup

    sst_mergekit.register()
    group = TensorGroup.from_tensors(list(tensors.values()), ids=list(tensors), base_index=0, name=name)
    return registry.get(method)([group], parameters=parameters)[0]


def three(models: dict[str, Tensors], name: str = LINEAR, *names: str) -> dict[str, torch.Tensor]:
    return {model: models[model][name] for model in ("base", "utility", "safety", *names)}


def statistics(world: World, source: str, tensor: str = LINEAR) -> Tensors:
    store = open_statistics(world.path(source))
    record = store.find(tensor)
    return store.tensors(record, tuple(record.tensors))
