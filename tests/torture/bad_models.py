"""Models and adapters that another tool would read as something else, or leave out without a word."""

from __future__ import annotations

from collections.abc import Callable

import torch
from bad_input import Case, in_json, tensors

CHECK, PLAIN = "check {root}/full.yml", "check {root}/ties.yml"
MEASURE = "fisher --data {root}/data.jsonl --out {out} --quiet --model {root}/"
REFIT = (
    "refit --model {root}/base --patch {root}/base {root}/utility --harm {root}/data.jsonl "
    "--benign {root}/data.jsonl --out {out} --quiet"
)
LORA = "lora {root}/adapters.yml {out} --quiet"
MODEL, GUARD = "utility/model.safetensors", "guard/adapter_model.safetensors"
WITH_GUARD = MEASURE + "base --adapter {root}/guard"
FP8 = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [64, 64]}}


def keys(change: Callable[[str], str | None]) -> Callable:
    """Return what renames the guard's tensors; None drops one."""

    def rename(found: dict) -> None:
        for name in list(found):
            tensor, new = found.pop(name), change(name)
            if new is not None:
                found[new] = tensor

    return tensors(GUARD, rename)


def to_fp8(found: dict) -> None:
    for name in [name for name in found if "proj" in name]:
        found[name] = found[name].to(torch.float8_e4m3fn)


def everywhere(name: str, line: str, spoil: Callable, *words: str) -> dict[str, Case]:
    """Return the same case for several commands."""
    return {
        f"{name}, to {each.split()[0]} {place}": Case(each, line, spoil) for place, each in enumerate(words)
    }


NAMED = in_json("utility/config.json", lambda body: body.update(FP8))
NO_PREFIX = keys(lambda name: name.removeprefix("base_model.model."))
ONE_LAYER = keys(lambda name: None if "layers.1.mlp" in name else name)
DEEPER = keys(lambda name: name.replace("layers.1.", "layers.7."))
FROZEN, NUMBERS = "utility.*quantised.*fp8", "utility.*quantised.*F8"
HALF = tensors(MODEL, to_fp8)
NO_NORM = tensors(MODEL, lambda found: found.pop("model.norm.weight"))
CASES = {
    **everywhere("quantised by its configuration", FROZEN, NAMED, CHECK, PLAIN, MEASURE + "utility", REFIT),
    **everywhere("quantised by its dtypes", NUMBERS, HALF, CHECK, PLAIN, MEASURE + "utility", REFIT),
    **everywhere("names without a prefix", "guard.*begin with .*base_model", NO_PREFIX, WITH_GUARD, LORA),
    **everywhere("a layer's factors gone", "guard.*lacks.*layers.1.mlp", ONE_LAYER, WITH_GUARD, CHECK, LORA),
    **everywhere("of a deeper model", "guard.*layers.7", DEEPER, WITH_GUARD, CHECK, LORA),
    **everywhere(
        "a tensor gone", "utility'?:? lacks .*norm.weight", NO_NORM, MEASURE + "utility", CHECK, PLAIN
    ),
    "NaN in an expert, to another method": Case(
        "yaml {root}/ties.yml {out} --quiet",
        "up_proj.weight.*not finite",
        tensors(MODEL, lambda t: t["model.layers.0.mlp.up_proj.weight"].fill_(float("nan"))),
    ),
}
