"""`sst-mergekit lora` on two adapters of Mistral-7B's shapes (7 modules, rank 16) beside PEFT's `cat`.

The base model is a config.json alone: there are no weights that could be read.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import timed_merges
from made_models import adapter, linear_shapes
from report import Report
from transformers import LlamaConfig
from turns import Side, in_turn

SEVEN_BILLION = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
COMBINING = Path(__file__).with_name("combining.py")


@pytest.mark.bench
def test_task_arithmetic_of_adapters(report: Report, tmp_path: Path) -> None:
    base = tmp_path / "base"
    LlamaConfig(**SEVEN_BILLION, architectures=["LlamaForCausalLM"]).save_pretrained(base)
    shapes = linear_shapes(SEVEN_BILLION)
    one, two = (adapter(tmp_path / f"adapter{seed}", str(base), shapes, seed) for seed in (1, 2))
    experts = [(f"{base}+{one}", {"weight": 1.0}), (f"{base}+{two}", {"weight": 0.5})]
    recipe = timed_merges.recipe(tmp_path / "recipe.yml", "task_arithmetic", base, experts)
    outs = tmp_path / "ours", tmp_path / "peft"
    sides = {
        "sst-mergekit": Side([sys.executable, COMBINING, "ours", recipe, outs[0]], fresh=outs[:1]),
        "PEFT": Side([sys.executable, COMBINING, "peft", base, outs[1], one, two], fresh=outs[1:]),
    }
    runs = in_turn(sides, runs=3)
    name = "lora, task_arithmetic, two adapters of 7B shapes"
    against = f"{name}, against PEFT's load, cat and save"
    found = report.ratio("Merging", against, runs, "sst-mergekit", "PEFT", at_most=2)
    peaks = [used.peak for used in runs["sst-mergekit"]]
    report.figure("Merging", f"{name}: peak memory", peaks, "MB", at_most=1.5 * 1024)
    if found > 2:
        report.profile("Merging", name, sides["sst-mergekit"])
