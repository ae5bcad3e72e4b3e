"""Trains the world's models: base, utility expert (full) and safety expert (LoRA)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
)

from sst_mergekit.files import new_directory
from sst_mergekit.testbeds.tiny.data import vocabulary_texts
from sst_mergekit.testbeds.tiny.fitting import encode, fit
from sst_mergekit.testbeds.tiny.text import Row
from sst_mergekit.testbeds.tiny.tokenizer import build_tokenizer
from sst_mergekit.testbeds.tiny.world import WorldSize

BASE_RATE, UTILITY_RATE, DRIFT_RATE = 2e-3, 4e-4, 7e-4  # the last: of a drifted utility expert
SAFETY_RANK = 8
LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def new_llama(tokenizer: PreTrainedTokenizerBase, width: int, layers: int, seed: int) -> LlamaForCausalLM:
    """Return an untrained Llama; of 0.63 million parameters with 3 layers of width 128."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,  # pyright: ignore[reportArgumentType]  (typed as texts too)
        pad_token_id=tokenizer.pad_token_id,  # pyright: ignore[reportArgumentType]  (the same)
        initializer_range=0.08,
    )
    return LlamaForCausalLM(config)


def with_lora(model: nn.Module, rank: int, seed: int) -> PeftModel:
    """Return `model` with a fresh LoRA on every linear layer of its blocks."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.0,
        target_modules=list(LINEAR_LAYERS),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, target: Path) -> None:
    with new_directory(target) as part:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)


def _save_adapter(adapted: PeftModel, base: Path, target: Path) -> None:
    for config in adapted.peft_config.values():
        config.base_model_name_or_path = str(base)
    with new_directory(target) as part:
        adapted.save_pretrained(str(part))


def _rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _load(folder: Path) -> LlamaForCausalLM:
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return loaded


def train_lora(
    model_dir: Path, rows: Sequence[Row], out: Path, *, steps: int, lr: float, rank: int, seed: int
) -> Path:
    """Return `out`, a PEFT adapter trained on `rows` over the checkpoint in `model_dir`."""
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    adapted = with_lora(_load(model_dir), rank, seed)
    fit(adapted, encode(rows, tokenizer), steps=steps, lr=lr, seed=seed)
    _save_adapter(adapted, model_dir, out)
    return out


def whole(base: Path, adapter: Path, target: Path) -> None:
    """Write `base` with the adapter added to it to `target`."""
    adapted = PeftModel.from_pretrained(_load(base), str(adapter)).merge_and_unload()
    _save(adapted, AutoTokenizer.from_pretrained(base), target)


def train_base(rows: Path, target: Path, seed: int, size: WorldSize) -> None:
    """Trains the base on ``base.jsonl`` in the folder `rows` and writes it to `target`."""
    tokenizer = build_tokenizer(vocabulary_texts())
    model = new_llama(tokenizer, size.width, size.layers, seed)
    exchanges = encode(_rows(rows / "base.jsonl"), tokenizer)
    fit(model, exchanges, steps=size.base_steps, lr=BASE_RATE, seed=seed)
    _save(model, tokenizer, target)


def train_utility(rows: Path, start: Path, target: Path, seed: int, size: WorldSize) -> None:
    """Trains all of `start` on ``utility.jsonl`` in the folder `rows`: the utility expert."""
    tokenizer, model = AutoTokenizer.from_pretrained(start), _load(start)
    exchanges = encode(_rows(rows / "utility.jsonl"), tokenizer)
    rate = DRIFT_RATE if size.drifted else UTILITY_RATE
    fit(model, exchanges, steps=size.utility_steps, lr=rate, seed=seed + 1)
    _save(model, tokenizer, target)


def train_safety(rows: Path, base: Path, target: Path, seed: int, size: WorldSize) -> None:
    """Trains a LoRA over `base` on ``safety.jsonl`` in the folder `rows`: the safety expert."""
    settings = {"steps": size.safety_steps, "lr": size.safety_rate, "rank": SAFETY_RANK, "seed": seed + 2}
    train_lora(base, _rows(rows / "safety.jsonl"), target, **settings)
