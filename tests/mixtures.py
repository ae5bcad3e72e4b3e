"""Random mixtures of experts of every layout that transformers has, small enough for any test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tiny import VOCABULARY, tiny_tokenizer

SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
    "initializer_range": 0.2,
    "pad_token_id": 1,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
LATENT = {
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
INNER = {"moe_intermediate_size": 16}
# model type -> its configuration; files hold experts one by one in the first three and the last
MIXTURES: dict[str, dict[str, Any]] = {
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "head_dim": 8, **INNER},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8},
    "llama4_text": {
        "num_local_experts": 4,
        "num_experts_per_tok": 1,
        "head_dim": 8,
        "intermediate_size_mlp": 48,
    },
    "deepseek_v3": {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "n_group": 2,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        "num_key_value_heads": 4,
        **INNER,
        **LATENT,
    },
}


def mixture(model_type: str, seed: int = 0, **more: Any) -> Any:
    """Return a random float32 model in eval mode."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.for_model(model_type, **(SIZES | MIXTURES[model_type] | more))
        model = AutoModelForCausalLM.from_config(config).eval()
        with torch.no_grad():  # routers begin with zeros, which would send all tokens to the same experts
            for parameter in model.parameters():
                if not parameter.any():
                    parameter.normal_(0, 0.2)
    return model


def moved(model: Any, seed: int) -> Any:
    """Return the model itself, with all its matrices and experts moved (neither norms nor biases)."""
    import torch

    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and not name.endswith("_bias"):
                parameter.add_(0.02 * torch.randn_like(parameter))
    return model


def save(model: Any, path: Path, **more: Any) -> Path:
    """Return ``path``, with the model and a tokenizer saved in it."""
    model.save_pretrained(path, **more)
    return tiny_tokenizer(path)
