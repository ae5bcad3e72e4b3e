"""Adapters that are damaged, or more than plain LoRA, and models that cannot be read."""

from __future__ import annotations

import math
from collections.abc import Callable

from bad_input import Case, both, flip, in_json, remove, tensors, text, truncate

LORA, UNCHECKED = (
    "lora {root}/adapters.yml {out} --quiet",
    "lora {root}/adapters.yml {out} --quiet --no-check",
)
FULL = "yaml {root}/full.yml {out} --quiet"
MEASURE = "fisher --data {root}/data.jsonl --out {out} --quiet --model {root}/utility"
CONFIG, WEIGHTS = "guard/adapter_config.json", "guard/adapter_model.safetensors"
MODEL = "utility/model.safetensors"


def config(line: str, words: str = UNCHECKED, **keys: object) -> Case:
    return Case(words, line, in_json(CONFIG, lambda body: body.update(keys)))


def factors(line: str, change: Callable[[dict], object], words: str = UNCHECKED) -> Case:
    return Case(words, line, tensors(WEIGHTS, change))


def _first(found: dict, change: Callable) -> None:
    name = min(found)
    found[name] = change(found[name])


CASES = {
    "no configuration": Case(UNCHECKED, "holds no adapter_config.json", remove(CONFIG)),
    "no configuration, checked": Case(LORA, "adapter_config.json", remove(CONFIG)),
    "configuration cut": Case(UNCHECKED, "adapter_config.json: cannot be read", truncate(CONFIG)),
    "configuration cut, checked": Case(LORA, "adapter_config.json: damaged", truncate(CONFIG)),
    "configuration binary": Case(UNCHECKED, "adapter_config.json: cannot be read", text(CONFIG, b"\xff\x00")),
    "configuration a list": Case(UNCHECKED, "adapter_config.json holds no mapping", text(CONFIG, "[]")),
    "configuration nested too deeply": Case(UNCHECKED, "adapter_config.json: ", text(CONFIG, "[" * 100_000)),
    "rank 0": config("r is 0 for", r=0),
    "rank a word": config("r is 'two' for", r="two"),
    "rank not that of the factors": config("says rank 3", r=3),
    "rank infinite": config("r is inf", r=math.inf),
    "rank NaN": config("r is nan", r=math.nan),
    "alpha NaN": config("lora_alpha is nan", lora_alpha=math.nan),
    "alpha negative": config("lora_alpha is -1", lora_alpha=-1),
    "patterns a list": config("rank_pattern", rank_pattern=["q_proj"]),
    "patterns a word": config("alpha_pattern", alpha_pattern="q_proj"),
    "a pattern no expression": config("rank_pattern", rank_pattern={"q_proj(": 2}),
    "DoRA": config("use_dora", use_dora=True),
    "biases": config("bias", bias="all"),
    "modules to save": config("modules_to_save", modules_to_save=["lm_head"]),
    "another kind": config("peft_type", peft_type="LOHA"),
    "base a number": config("base_model_name_or_path|adapter_config", words=LORA, base_model_name_or_path=3),
    "no weights": Case(UNCHECKED, "holds no adapter_model.safetensors", remove(WEIGHTS)),
    "weights empty": Case(UNCHECKED, "not a readable safetensors file", text(WEIGHTS, b"")),
    "weights cut": Case(UNCHECKED, "not a readable safetensors file", truncate(WEIGHTS)),
    "weights cut, checked": Case(LORA, "not a readable safetensors file", truncate(WEIGHTS)),
    "weights cut, to fisher": Case(
        MEASURE + " --adapter {root}/guard", "adapter cannot be loaded", truncate(WEIGHTS)
    ),
    "one bit of the header's length": Case(UNCHECKED, "not a readable safetensors file", flip(WEIGHTS, 6)),
    "NaN": factors("factors of .* are not finite", lambda t: _first(t, lambda x: x.fill_(math.nan))),
    "infinite": factors("factors of .* are not finite", lambda t: _first(t, lambda x: x.fill_(math.inf))),
    "one factor": factors("has only factor", lambda t: t.pop(min(t))),
    "another tensor": factors("which is no LoRA factor", lambda t: t.update(x=t[min(t)].clone())),
    "factor of one axis": factors("which is no LoRA factor", lambda t: _first(t, lambda x: x[0].clone())),
    "factor of another shape": factors("is |factors of", lambda t: _first(t, lambda x: x[:, :3].clone())),
    "all zero": Case(
        UNCHECKED,
        "changes nothing",
        both(
            tensors(WEIGHTS, lambda t: [x.zero_() for x in t.values()]),
            tensors("skill/adapter_model.safetensors", lambda t: [x.zero_() for x in t.values()]),
        ),
    ),
    "model cut": Case(FULL, "model.safetensors: not a readable safetensors file", truncate(MODEL)),
    "model empty": Case(FULL, "model.safetensors: not a readable safetensors file", text(MODEL, b"")),
    "model of NaN": Case(
        FULL + " --no-check",
        "lm_head.weight.*not finite",
        tensors(MODEL, lambda t: t["lm_head.weight"].fill_(math.nan)),
    ),
    "model infinite in one place": Case(
        FULL + " --no-check",
        "mlp.up_proj.weight.*not finite",
        tensors(MODEL, lambda t: t["model.layers.1.mlp.up_proj.weight"][0, :1].fill_(math.inf)),
    ),
    "model without weights": Case(FULL, "holds no model.safetensors", remove(MODEL)),
    "model without configuration": Case(FULL, "holds no config.json", remove("utility/config.json")),
    "model's tensor of another shape": Case(
        FULL,
        "shape",
        tensors(MODEL, lambda t: t.update({"lm_head.weight": t["lm_head.weight"][:, :8].clone()})),
    ),
    "to fisher: model cut": Case(MEASURE, "utility/model.safetensors: not a readable", truncate(MODEL)),
    "to fisher: model empty": Case(MEASURE, "utility/model.safetensors: not a readable", text(MODEL, b"")),
    "to fisher: without weights": Case(MEASURE, "utility: cannot be loaded", remove(MODEL)),
    "to fisher: NaN": Case(
        MEASURE, "not finite", tensors(MODEL, lambda t: t["lm_head.weight"].fill_(math.nan))
    ),
    "to fisher: configuration cut": Case(MEASURE, "utility: ", truncate("utility/config.json")),
    "to fisher: unknown architecture": Case(
        MEASURE,
        "utility: ",
        in_json("utility/config.json", lambda b: b.update(model_type="none", architectures=[])),
    ),
    "to fisher: widths that do not fit": Case(
        MEASURE,
        "utility: cannot be loaded",
        in_json("utility/config.json", lambda b: b.update(hidden_size=32)),
    ),
    "to fisher: heads that do not fit": Case(
        MEASURE,
        "utility: its tokenizer cannot be loaded",
        in_json("utility/config.json", lambda b: b.update(num_attention_heads=5)),
    ),
    "to fisher: no tokenizer": Case(
        MEASURE,
        "utility: its tokenizer cannot be loaded",
        both(remove("utility/tokenizer.json"), remove("utility/tokenizer_config.json")),
    ),
    "to fisher: tokenizer cut": Case(MEASURE, "utility: its tokenizer", truncate("utility/tokenizer.json")),
}
