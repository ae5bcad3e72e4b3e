"""A tiny base, LoRA adapters of every form on it, statistics, and merges by both roads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import yaml
from click.testing import CliRunner, Result
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tiny import tiny_data, tiny_llama, tiny_statistics
from transformers import AutoModelForCausalLM

import sst_mergekit
from sst_mergekit.cli import main

Raw = dict[str, Any]
# Different ranks and targets, rsLoRA, and patterns of ranks and alphas.
SKILL = {
    "r": 2,
    "lora_alpha": 3,
    "target_modules": ["q_proj", "up_proj"],
    "rank_pattern": {"up_proj": 3},
    "alpha_pattern": {"layers.1.self_attn.q_proj": 5},
}
GUARD = {"r": 4, "lora_alpha": 2, "target_modules": ["q_proj", "down_proj", "v_proj"], "use_rslora": True}
SECOND = {"r": 1, "lora_alpha": 1, "target_modules": ["up_proj", "q_proj"]}


def make_adapter(path: Path, base: Path, seed: int, **config: Any) -> Path:
    """Return ``path``, with a random adapter on ``base`` saved in it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(base)
        adapted = get_peft_model(model, LoraConfig(init_lora_weights=False, **config))
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(parameter, std=0.2)
        adapted.save_pretrained(path, save_embedding_layers=False)
    return path


class World:
    """Base ``base``, adapters ``skill``, ``guard`` and ``second``, statistics ``fisher-*``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = tiny_llama(root / "base", 0)
        for seed, (name, config) in enumerate((("skill", SKILL), ("guard", GUARD), ("second", SECOND))):
            make_adapter(root / name, self.base, seed, **config)
        data = tiny_data(root / "data.jsonl")
        for name in ("skill", "guard", "second"):
            tiny_statistics(root / f"fisher-{name}", self.base, data, adapter=root / name)
        for name in ("skill", "guard"):
            out = root / f"fisher-diagonal-{name}"
            tiny_statistics(out, self.base, data, kind="diagonal", adapter=root / name)

    def entry(self, name: str, **parameters: Any) -> Raw:
        """Return an adapter of the recipe."""
        return {"model": f"{self.base}+{self.root / name}", "parameters": parameters}

    def sst(self, names: tuple[str, ...] = ("skill", "guard"), **parameters: Any) -> Raw:
        """Return an sst recipe; the first name is the utility expert."""
        roles = ["utility"] + ["safety"] * (len(names) - 1)
        models = [
            self.entry(name, role=role, fisher=f"{self.root}/fisher-{name}")
            for name, role in zip(names, roles, strict=True)
        ]
        return self.recipe("sst", models, **parameters)

    def projected(self, **parameters: Any) -> Raw:
        """Return a null_space recipe of skill and guard."""
        skill = self.entry("skill", role="utility", fisher=f"{self.root}/fisher-skill")
        return self.recipe("null_space", [skill, self.entry("guard", role="safety")], **parameters)

    def weighted(self, method: str, weights: dict[str, Any], **parameters: Any) -> Raw:
        """Return a recipe of a method with a weight for each model."""
        return self.recipe(method, [self.entry(n, weight=w) for n, w in weights.items()], **parameters)

    def recipe(self, method: str, models: list[Raw], **parameters: Any) -> Raw:
        """Return a recipe on the base."""
        return {
            "merge_method": method,
            "base_model": str(self.base),
            "models": models,
            "parameters": parameters,
            "dtype": "float32",
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights of the base."""
        return load_file(self.base / "model.safetensors")


def lora(recipe: Raw, out: Path, *options: str) -> Result:
    """Run ``sst-mergekit lora`` on a recipe."""
    out.parent.mkdir(exist_ok=True)
    path = out.parent / f"{out.name}.yml"
    path.write_text(yaml.safe_dump(recipe, sort_keys=False))
    return CliRunner().invoke(main, ["lora", str(path), str(out), "--quiet", *options])


def made(recipe: Raw, out: Path, *options: str) -> Path:
    """Return ``out``, with the merged adapter in it."""
    result = lora(recipe, out, *options)
    assert result.exit_code == 0, (result.output, result.exception)
    return out


def full_merge(world: World, recipe: Raw, out: Path) -> dict[str, torch.Tensor]:
    """Return the weights of mergekit's own merge, adapters folded in float32."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    sst_mergekit.register()
    options = MergeOptions(
        quiet=True,
        lora_merge_cache=str(world.root / "cache"),
        lora_merge_dtype="float32",
        copy_tokenizer=False,
    )
    run_merge(MergeConfiguration.model_validate(recipe), str(out), options=options)
    return load_file(next(out.glob("*.safetensors")))


def changes(adapter: Path, base: Path) -> dict[str, torch.Tensor]:
    """Return weight name -> B A of an adapter as PEFT makes it, in float64."""
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base).double(), adapter)
    found = {}
    for module in modules_of(adapter):
        layer = model.get_submodule(f"base_model.model.{module}")
        found[f"{module}.weight"] = layer.get_delta_weight("default").detach()
    return found


def modules_of(adapter: Path) -> list[str]:
    """Return the modules of an adapter, from the names of its tensors."""
    names = load_file(adapter / "adapter_model.safetensors")
    return sorted({name.removeprefix("base_model.model.").split(".lora_")[0] for name in names})


def configuration(adapter: Path) -> Raw:
    """Return adapter_config.json."""
    return json.loads((adapter / "adapter_config.json").read_text())
