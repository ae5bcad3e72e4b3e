"""Tiny checkpoints, their statistics, and a recipe for each rival on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny import tiny_data, tiny_llama, tiny_statistics

MODELS = ("base", "utility", "safety", "unaligned")
KINDS = ("diagonal", "kronecker")


class World:
    """Models by name, and of all but the last their statistics of both kinds in ``kind-name``."""

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
        }[method]
        return {
            "merge_method": method,
            "base_model": self.path("base"),
            "models": models,
            "parameters": own | shared,
            "dtype": "float32",
        }
