"""Tiny checkpoints, their statistics, and a recipe for each rival on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tiny import tiny_data, tiny_llama, tiny_statistics

import sst_mergekit
from sst_mergekit.statistics.store import open_statistics

MODELS = ("base", "utility", "safety", "unaligned")
KINDS = ("diagonal", "kronecker", "activation")
LINEAR = "model.layers.1.mlp.up_proj.weight"
NORM = "model.norm.weight"
EMBEDDING = "model.embed_tokens.weight"
Tensors = dict[str, torch.Tensor]


class World:
    """Models by name, and of all but the last their statistics of each kind in ``kind-name``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for seed, name in enumerate(MODELS):
            tiny_llama(root / name, seed)
        data = tiny_data(root / "data.jsonl")
        for name in MODELS[:3]:
            for kind in KINDS:
                tiny_statistics(root / f"{kind}-{name}", root / name, data, kind=kind)

    def path(self, name: str) -> str:
        return str(self.root / name)

    def models(self, **parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"model": self.path(name), "parameters": own} for name, own in parameters.items()]

    def recipe(self, method: str, **shared: Any) -> dict[str, Any]:
        """Return a recipe of a rival without a fault."""
        pair = self.models(utility={"role": "utility"}, safety={"role": "safety"})
        against = self.models(utility={"role": "utility"}, safety={"role": "aligned"})
        diagonal = {name: {"fisher": self.path(f"diagonal-{name}")} for name in ("utility", "safety")}
        kronecker = {name: {"fisher": self.path(f"kronecker-{name}")} for name in ("utility", "safety")}
        based = {"fisher_base": self.path("diagonal-base")}
        seen = {name: {"fisher": self.path(f"activation-{name}")} for name in ("utility", "safety")}
        agl = {"role": "safety", "fisher": self.path("kronecker-safety")}
        models, own = {
            "fisher": (self.models(**diagonal), {"on_missing": "average"}),
            "regmean": (self.models(**kronecker), {}),
            "safemerge": (pair, {"threshold": 1.0}),
            "safe_lora": (against, {"threshold": 1.0}),
            "resta": (against, {"drop": 0.3, "seed": 1}),
            "led": (
                self.models(**{name: own | based for name, own in diagonal.items()}),
                {"on_missing": "average"},
            ),
            "mergealign": (pair, {"interpolation": "slerp"}),
            "lox": (against, {}),
            "agl": (self.models(utility={"role": "utility"}, safety=agl), {"on_missing": "keep"}),
            "dare_svd": (self.models(utility={"weight": 1.0}, safety={"weight": 0.5}), {"seed": 1}),
            "knots": (self.models(utility={"weight": 1.0}, safety={"weight": 0.5}), {}),
            "safe_delta": (
                self.models(utility={"role": "utility"}, safety={"role": "aligned"} | seen["safety"]),
                {"on_missing": "aligned", "budget": 0.3, "unit": "share"},
            ),
            "null_space": (
                self.models(utility={"role": "utility"} | seen["utility"], safety={"role": "safety"}),
                {"on_missing": "keep", "energy": 0.9},
            ),
        }[method]
        return {
            "merge_method": method,
            "base_model": self.path("base"),
            "models": models,
            "parameters": own | shared,
            "dtype": "float32",
        }


def merge(recipe: dict, out: Path, **options) -> Tensors:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    sst_mergekit.register()
    options = MergeOptions(quiet=True, copy_tokenizer=False, **options)
    run_merge(MergeConfiguration.model_validate(recipe), str(out), options=options)
    return load_file(next(out.glob("*.safetensors")))


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
