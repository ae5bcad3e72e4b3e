"""Random checkpoints and adapters of a Llama's shapes, written as transformers and PEFT write them.

Speed and memory of a merge depend on shapes and on rank, not on what a model has learnt.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))
from tiny import tiny_tokenizer  # noqa: E402

Shapes = Mapping[str, tuple[int, int]]
M140: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 640,
    "intermediate_size": 1728,
    "num_hidden_layers": 20,
    "num_attention_heads": 10,
    "num_key_value_heads": 10,
}  # 140 M parameters, embedding and output head apart
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def sized(millions: int) -> dict[str, Any]:
    """Return a Llama's sizes with about so many million parameters, in the proportions of `M140`."""
    hidden, layers = {10: (192, 12), 35: (320, 16), 140: (640, 20), 400: (1024, 26)}[millions]
    inter = (8 * hidden // 3 + 63) // 64 * 64
    heads = hidden // 64
    return M140 | {
        "hidden_size": hidden,
        "intermediate_size": inter,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
    }


def linear_shapes(sizes: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return [d_out, d_in] of each linear layer in the decoder, by its module's name."""
    hidden, inter = sizes["hidden_size"], sizes["intermediate_size"]
    kv = hidden * sizes["num_key_value_heads"] // sizes["num_attention_heads"]
    shapes = {}
    for number in range(sizes["num_hidden_layers"]):
        at = f"model.layers.{number}"
        for name in ATTENTION:
            shapes[f"{at}.self_attn.{name}"] = (kv if name in ("k_proj", "v_proj") else hidden, hidden)
        shapes |= {f"{at}.mlp.{name}": (inter, hidden) for name in ("gate_proj", "up_proj")}
        shapes[f"{at}.mlp.down_proj"] = (hidden, inter)
    return shapes


def checkpoint(path: Path, sizes: Mapping[str, Any], seed: int, base: Path | None = None) -> Path:
    """Return ``path`` with a random bfloat16 Llama; with ``base``, that one, all matrices changed."""
    from safetensors.torch import load_file

    generator = torch.Generator().manual_seed(seed)
    if base is None:
        matrices = {f"{name}.weight": shape for name, shape in linear_shapes(sizes).items()}
        for name in ("model.embed_tokens.weight", "lm_head.weight"):
            matrices[name] = (sizes["vocab_size"], sizes["hidden_size"])
        tensors = {n: 0.02 * torch.randn(s, generator=generator) for n, s in matrices.items()}
        for number in range(sizes["num_hidden_layers"]):
            for norm in ("input_layernorm", "post_attention_layernorm"):
                tensors[f"model.layers.{number}.{norm}.weight"] = torch.ones(sizes["hidden_size"])
        tensors["model.norm.weight"] = torch.ones(sizes["hidden_size"])
    else:
        tensors = {
            name: t.float() + 0.002 * torch.randn(t.shape, generator=generator) if t.ndim == 2 else t
            for name, t in load_file(base / "model.safetensors").items()
        }
    write_checkpoint(path, sizes, tensors)
    return path


def write_checkpoint(path: Path, sizes: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Write weights in bfloat16, the configuration, and a tokenizer."""
    from transformers import LlamaConfig

    path.mkdir(parents=True)
    save_file({n: t.bfloat16() for n, t in tensors.items()}, path / "model.safetensors", {"format": "pt"})
    LlamaConfig(**sizes, torch_dtype="bfloat16", architectures=["LlamaForCausalLM"]).save_pretrained(path)
    tiny_tokenizer(path)


def adapter(path: Path, base: str, shapes: Shapes, seed: int, rank: int = 16) -> Path:
    """Return ``path`` with a random LoRA adapter in float32, as PEFT saves it, on all of ``shapes``."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (rows, columns) in shapes.items():
        at = f"base_model.model.{name}"
        tensors[f"{at}.lora_A.weight"] = torch.randn(rank, columns, generator=generator) / columns**0.5
        tensors[f"{at}.lora_B.weight"] = 0.02 * torch.randn(rows, rank, generator=generator)
    path.mkdir(parents=True)
    save_file(tensors, path / "adapter_model.safetensors", {"format": "pt"})
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": rank,
        "target_modules": sorted({name.rpartition(".")[2] for name in shapes}),
        "bias": "none",
        "inference_mode": True,
    }
    (path / "adapter_config.json").write_text(json.dumps(config))
    return path
