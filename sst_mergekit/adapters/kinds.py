"""Which PEFT adapters are served: plain LoRA, which is nothing but a low-rank matrix for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sst_mergekit.errors import RecipeError

# Keys of adapter_config.json that do not change what a trained adapter is, or that are read here.
_SERVED = {
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "use_rslora",
}
# Ways to begin training that leave the base model's weights as they are; PiSSA, OLoRA, ... change them.
_BEGINNINGS = (True, False, None, "gaussian", "eva", "orthogonal")


def require_plain_lora(source: str, config: Mapping[str, Any]) -> None:
    """Raise RecipeError, naming the adapter and the key, unless the adapter is plain LoRA."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise RecipeError(
            f"{source}: peft_type is {kind!r}, only LORA adapters are merged; use the full merge"
        )
    if config.get("use_dora"):
        raise RecipeError(
            f"{source}: use_dora is set; DoRA rescales the base's weights, which is not low-rank; "
            "use the full merge"
        )
    if config.get("bias") not in (None, "none"):
        raise RecipeError(
            f"{source}: bias is {config['bias']!r}; trained biases are no LoRA factors; use the full merge"
        )
    begun = config.get("init_lora_weights")
    if begun not in _BEGINNINGS:
        raise RecipeError(
            f"{source}: init_lora_weights is {begun!r}, which changes the base model too; "
            "save it as plain LoRA (PEFT: save_pretrained(..., path_initial_model_for_weight_conversion=...))"
        )
    for key in sorted(set(config) - _SERVED - {"use_dora"}):
        if config[key]:
            raise RecipeError(f"{source}: {key} is set, beyond plain LoRA factors; use the full merge")
