"""Random models that see images and write text, small enough for any test, in files as on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixtures import SIZES
from tiny import VOCABULARY, tiny_tokenizer

TEXT = SIZES | {"head_dim": 8}
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
PATCHES = {"image_size": 28, "patch_size": 14}
BLOCKS = {"hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 32, "patch_size": 14}
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2]}
LAST = len(VOCABULARY) - 1
INDICES = {"image_token_index": LAST}
IDS = {"image_token_id": LAST, "video_token_id": LAST - 1, "vision_start_token_id": LAST - 2}
IDS |= {"vision_end_token_id": LAST - 3}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 48}
# model type -> its configuration
SEEING: dict[str, dict[str, Any]] = {
    "gemma3": {
        "text_config": TEXT | {"sliding_window": 16},
        "vision_config": TOWER | PATCHES | {"vision_use_head": False},
        "mm_tokens_per_image": 4,
        **INDICES,
    },
    "mistral3": {
        "text_config": TEXT | {"model_type": "mistral"},
        "vision_config": TOWER | PATCHES | {"model_type": "pixtral", "head_dim": 8},
        **INDICES,
    },
    "qwen2_5_vl": {
        "text_config": TEXT | {"rope_scaling": ROPE},
        "vision_config": BLOCKS | {"depth": 2, "fullatt_block_indexes": [1], "window_size": 28},
        **IDS,
    },
    "qwen3_vl": {
        "text_config": TEXT | {"rope_scaling": ROPE},
        "vision_config": BLOCKS
        | {"depth": 3, "deepstack_visual_indexes": [0, 1, 2], "num_position_embeddings": 16},
        **IDS,
    },
    "llama4": {
        "text_config": TEXT | EXPERTS,
        "vision_config": TOWER
        | PATCHES
        | {"intermediate_size": 64, "vision_output_dim": 16, "projector_input_dim": 16}
        | {"projector_output_dim": 16},
        **INDICES,
    },
}
SEEING["ministral3"] = SEEING["mistral3"] | {"text_config": TEXT | {"model_type": "ministral3"}}
SEEING["qwen3_vl_moe"] = SEEING["qwen3_vl"] | {
    "text_config": SEEING["qwen3_vl"]["text_config"]
    | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
}
HUB = {"gemma3": ("vision_tower.", "vision_tower.vision_model.")}  # what save_pretrained no longer writes


def seeing(model_type: str, seed: int = 0, **text: Any) -> Any:
    """Return a random float32 model in eval mode; ``text``: of its language model's configuration."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    settings = SEEING[model_type]
    settings = settings | {"text_config": settings["text_config"] | text}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model_type = model_type.replace(
            "ministral", "mistral"
        )  # Ministral-3 is a Mistral-3 with its text model
        config = AutoConfig.for_model(model_type, **settings, tie_word_embeddings=False)
        model = AutoModelForImageTextToText.from_config(config).eval()
        with torch.no_grad():  # positions of Llama-4's images are not even initialised
            for name, parameter in model.named_parameters():
                if not parameter.isfinite().all() or not parameter.any() or "positional" in name:
                    parameter.normal_(0, 0.2)
    return model


def save(model: Any, path: Path, hub: bool = True) -> Path:
    """Return ``path``, with the model and a tokenizer saved in it; ``hub``: named as on the Hub."""
    from safetensors.torch import load_file, save_file

    model.save_pretrained(path)
    old, new = HUB.get(model.config.model_type if hub else "", ("", ""))
    tensors = load_file(path / "model.safetensors")
    tensors = {new + n.removeprefix(old) if n.startswith(old) else n: t for n, t in tensors.items()}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return tiny_tokenizer(path)
