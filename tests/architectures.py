"""What is covered of each architecture, as the README has it: `python tests/architectures.py`.

A tiny random base, and two experts made from it whose every matrix moved, go through fisher, check,
mergekit's own merge and ``lora``, at cost 0, where SST-Merge must equal Task Arithmetic.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from mixtures import MIXTURES, SIZES, moved, save

# model type -> what its configuration has beside SIZES; those of MIXTURES are tested where they stand, too
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "ministral": {"head_dim": 8},
    "qwen2": {},
    "qwen3": {},
    "qwen3_5_text": {
        "head_dim": 8,
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 2,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
    },
    "gemma2": {"head_dim": 8, "tie_word_embeddings": True},
    "gemma3_text": {"head_dim": 8, "tie_word_embeddings": True},
    "gemma4_text": {"head_dim": 8, "tie_word_embeddings": True},
    "phi3": {},
    "olmo2": {},
    "olmo3": {},
    "smollm3": {},
    "granite": {},
    "lfm2": {"block_ff_dim": 48, "layer_types": ["conv", "full_attention"]},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "tie_word_embeddings": True},
}


@dataclass(frozen=True)
class Row:
    """One architecture: what each step did, and the tensors that are neither merged nor told to be left."""

    name: str
    fisher: str
    check: str
    merge: str
    lora: str
    silent: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"| {self.name} | {self.fisher} | {self.check} | {self.merge} | {self.lora} |"


def row(model_type: str, folder: Path) -> Row:
    """Return the row of one architecture, made in an empty folder."""
    try:
        models = build(model_type, folder)
        measured = fisher(folder, models)
    except Exception as error:  # noqa: BLE001  (whatever stops it is what the table says)
        return Row(model_type, said(error), "", "", "")
    checked = check(folder)
    merged, silent = merge(folder)
    return Row(model_type, measured, checked, merged, lora(folder), silent)


def build(model_type: str, folder: Path) -> dict[str, Any]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    more = MIXTURES.get(model_type) or ARCHITECTURES[model_type]
    config = AutoConfig.for_model(model_type, **(SIZES | more))
    made = {}
    for seed, name in enumerate(("base", "utility", "safety")):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config).eval().float()
        with torch.no_grad():  # what begins with zeros would hide what is not merged
            for index, parameter in enumerate(model.parameters()):
                if not parameter.any():
                    parameter.normal_(0, 0.2, generator=torch.Generator().manual_seed(index))
        made[name] = moved(model, seed) if seed else model
        save(made[name], folder / name)
    return made


def fisher(folder: Path, models: dict[str, Any]) -> str:
    from tiny import tiny_data
    from transformers import PreTrainedTokenizerFast  # for Qwen2, AutoTokenizer does not read a file of words

    from sst_mergekit.statistics.estimate import estimate
    from sst_mergekit.statistics.loading import ModelSpec
    from sst_mergekit.statistics.rows import Source
    from sst_mergekit.statistics.settings import Options

    data, options = Source(str(tiny_data(folder / "data.jsonl"))), Options(progress=False, expert_tokens=3)
    with patch("transformers.AutoTokenizer.from_pretrained", PreTrainedTokenizerFast.from_pretrained):
        for name in ("utility", "safety"):
            manifest = estimate(ModelSpec(str(folder / name)), data, folder / f"fisher-{name}", options)
    left = f", {len(manifest.skipped)} named as left out" if manifest.skipped else ""
    return f"{len(manifest.layers)} matrices{left}"


def recipe(folder: Path, adapters: bool = False) -> Path:
    models = [
        {
            "model": f"{folder}/base+{folder}/lora-{name}" if adapters else f"{folder}/{name}",
            "parameters": {"role": name, "fisher": f"{folder}/fisher-{name}"},
        }
        for name in ("utility", "safety")
    ]
    body = {"merge_method": "sst", "base_model": f"{folder}/base", "models": models, "dtype": "float32"}
    path = folder / ("adapters.yml" if adapters else "full.yml")
    path.write_text(yaml.safe_dump(body | {"parameters": {"cost": 0.0, "on_missing": "keep"}}))
    return path


def check(folder: Path) -> str:
    from sst_mergekit.recipe.check import check_recipe

    faults = [str(fault) for fault in check_recipe(recipe(folder)) if not fault.warning]
    return f"refused: {faults[0].split(',')[0]}" if faults else "OK"


def merge(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return what mergekit's own merge did, and the tensors of the result that are silently wrong."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    from sst_mergekit.plugin import coverage

    config = MergeConfiguration.model_validate(yaml.safe_load(recipe(folder).read_text()))
    try:
        with quiet(), coverage.recorded() as found:
            run_merge(config, str(folder / "out"), options=MergeOptions(quiet=True, copy_tokenizer=False))
        base, utility, safety, out = (tensors(folder / n) for n in ("base", "utility", "safety", "out"))
    except Exception as error:  # noqa: BLE001
        return said(error), ()
    left, silent = [], []
    for name, tensor in base.items():
        if (out[name] - (utility[name] + safety[name] - tensor)).abs().max() < 1e-5:
            continue
        same = bool((out[name] == utility[name]).all())
        told = any(fate == coverage.KEPT and coverage_of(kept, name) for kept, fate in found.fates.items())
        (left if same and told else silent).append(name)
    told_left = f"; left, and told: {', '.join(left)}" if left else ""
    if silent:
        return f"WRONG: {', '.join(silent)}", tuple(silent)
    return f"equals Task Arithmetic{told_left}", ()


def coverage_of(kept: str, name: str) -> bool:
    from sst_mergekit.statistics.forms import bare_name

    return bare_name(kept) == bare_name(name) or "embed" in kept and "lm_head" in name


def tensors(path: Path) -> dict[str, Any]:
    from transformers import AutoModelForCausalLM

    model, loaded = AutoModelForCausalLM.from_pretrained(path, output_loading_info=True)
    if loaded["missing_keys"]:
        raise ValueError(f"mergekit's result lacks {sorted(loaded['missing_keys'])[0]}")
    return dict(model.named_parameters())


def lora(folder: Path) -> str:
    """Return whether adapters of the linear layers are merged into one that equals their sum."""
    from click.testing import CliRunner
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from sst_mergekit.cli import main

    base = {name: p.detach().clone() for name, p in tensors(folder / "base").items()}
    changes = []
    for name in ("utility", "safety"):
        model = AutoModelForCausalLM.from_pretrained(folder / "base")
        config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(model, config).save_pretrained(folder / f"lora-{name}")
        changes.append(folded(folder, f"lora-{name}", base))
    words = ["lora", str(recipe(folder, adapters=True)), str(folder / "lora"), "--quiet", "--no-check"]
    result = CliRunner().invoke(main, words)
    if result.exit_code:
        fault = result.stderr.strip().splitlines()[-1].split("error: ")[-1]
        return f"refused: {fault.removeprefix(f'{folder}/lora-utility: ').split(';')[0]}"
    made = folded(folder, "lora", base)
    worst = max(float((made[n] - changes[0][n] - changes[1][n]).abs().max()) for n in base)
    return "equals the sum" if worst < 1e-4 else f"WRONG by {worst:.2g}"


def folded(folder: Path, adapter: str, base: dict[str, Any]) -> dict[str, Any]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder / "base")
    whole = PeftModel.from_pretrained(model, folder / adapter).merge_and_unload()
    return {name: parameter.detach() - base[name] for name, parameter in whole.named_parameters()}


def said(error: Exception) -> str:
    return f"refused: {type(error).__name__}: {' '.join(str(error).split())[:90]}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    with contextlib.redirect_stderr(io.StringIO()):
        yield


def main() -> None:
    """Print the table."""
    import sst_mergekit

    sst_mergekit.register()
    print("| model type | fisher | check | merge at cost 0 | lora |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or (*ARCHITECTURES, *MIXTURES):
        with tempfile.TemporaryDirectory() as folder:
            print(row(name, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
