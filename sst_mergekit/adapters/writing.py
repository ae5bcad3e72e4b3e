"""Writing the merged adapter in PEFT's form: factors, configuration and card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mergekit.common import ModelReference
from safetensors.torch import save_file
from torch import Tensor

from sst_mergekit.adapters.pair import Pair
from sst_mergekit.adapters.reading import CONFIG, WEIGHTS, Adapter, factor_names
from sst_mergekit.errors import RecipeError
from sst_mergekit.plugin.finite import is_finite


def factors_of(module: str, pair: Pair, embedding: bool, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the two tensors of a layer, by their names in the file.

    Raises:
        RecipeError: a number is too large for the dtype.
    """
    a, b = factor_names(module, embedding)
    factors = {a: pair.right.to(dtype).cpu().contiguous(), b: pair.left.to(dtype).cpu().contiguous()}
    for name, factor in factors.items():
        if not is_finite(factor):
            raise RecipeError(
                f"{name}: the merged factor is not finite in {str(dtype).removeprefix('torch.')}; "
                "use 'out_dtype: float32' or less strength"
            )
    return factors


def write_weights(directory: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write the factors of all layers."""
    save_file(dict(sorted(tensors.items())), directory / WEIGHTS, metadata={"format": "pt"})


def write_configuration(
    directory: Path, base: ModelReference, ranks: Mapping[str, int], adapters: Sequence[Adapter]
) -> None:
    """Write adapter_config.json: alpha = r, so that every scale is 1; modules by their whole names."""
    text = json.dumps(configuration(base, ranks, adapters), indent=2, sort_keys=True)
    (directory / CONFIG).write_text(text + "\n", encoding="utf-8")


def configuration(
    base: ModelReference, ranks: Mapping[str, int], adapters: Sequence[Adapter]
) -> dict[str, Any]:
    """Return the configuration of an adapter with a rank for each module.

    Where ranks differ, r is the largest and the others are patterns anchored to the whole name.
    """
    from peft import LoraConfig

    tasks = {adapter.config.get("task_type") for adapter in adapters}
    largest = max(ranks.values())
    pattern = {f"^{module}": rank for module, rank in sorted(ranks.items()) if rank != largest}
    config = LoraConfig(
        task_type=tasks.pop() if len(tasks) == 1 else "CAUSAL_LM",
        base_model_name_or_path=base.model.path,
        revision=base.model.revision,
        r=largest,
        lora_alpha=largest,
        rank_pattern=pattern,
        alpha_pattern=dict(pattern),
        target_modules=sorted(ranks),
        fan_in_fan_out=any(bool(adapter.config.get("fan_in_fan_out")) for adapter in adapters),
        inference_mode=True,
    ).to_dict()
    return config | {"target_modules": sorted(ranks)}
