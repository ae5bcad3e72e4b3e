"""Random models, a word-level tokenizer and measured statistics, small enough for any test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = [f"w{number}" for number in range(28)]
VOCABULARY = ["<unk>", "<pad>", "<bos>", "<eos>", *WORDS]
ROWS = (("w1 w2 w3", "w4 w5"), ("w6 w7", "w8 w9 w10 w11"), ("w12 w13 w14 w15", "w16 w17 w18"))


def tiny_tokenizer(path: Path, vocabulary: list[str] = VOCABULARY) -> Path:
    """Return ``path``, with a word-level tokenizer of 32 tokens saved in it."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(vocabulary)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", pad_token="<pad>", bos_token="<bos>", eos_token="<eos>"
    ).save_pretrained(path)
    return path


def tiny_llama(path: Path, seed: int, **config: Any) -> Path:
    """Return ``path``, with a random float32 Llama (2 layers, width 16) and its tokenizer saved in it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"vocab_size": len(VOCABULARY), "hidden_size": 16, "intermediate_size": 24}
    heads = {"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    ends = {"pad_token_id": 1, "bos_token_id": 2, "eos_token_id": 3}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**(sizes | heads | ends | config)))
        model.save_pretrained(path)
    return tiny_tokenizer(path)


def tiny_adapter(path: Path, base: Path, seed: int, rank: int = 2) -> Path:
    """Return ``path``, with a random LoRA adapter on q_proj and up_proj of ``base`` saved in it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(r=rank, target_modules=["q_proj", "up_proj"], init_lora_weights=False)
        get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(path)
    return path


def tiny_data(path: Path, rows: tuple[tuple[str, str], ...] = ROWS) -> Path:
    """Return ``path``, a .jsonl file of prompts and responses in the tokenizer's words."""
    lines = [json.dumps({"prompt": prompt, "response": response}) for prompt, response in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def tiny_statistics(
    out: Path, model: Path, data: Path, kind: str = "kronecker", adapter: Path | None = None
) -> Path:
    """Return ``out``, with statistics of a tiny model on ``data`` measured into it."""
    from sst_mergekit.statistics.collect import Options
    from sst_mergekit.statistics.estimate import estimate
    from sst_mergekit.statistics.loading import ModelSpec
    from sst_mergekit.statistics.rows import Source

    spec = ModelSpec(str(model), str(adapter) if adapter else None)
    estimate(spec, Source(str(data)), out, Options(kind=kind, progress=False))
    return out
