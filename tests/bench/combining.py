"""Two adapters combined, as a process of its own, charged from the adapters' files to the merged file.

    python combining.py ours RECIPE OUT
    python combining.py peft BASE OUT ADAPTER ADAPTER

PEFT needs a model to put adapters on: one of the right shapes whose weights are views of a single zero. To
build it, and to import modules, is not charged.
"""

from __future__ import annotations

import sys
from pathlib import Path

from usage import measured


def ours(source: Path, out: Path) -> None:
    """Run what ``sst-mergekit lora`` runs, the check of the recipe too."""
    from sst_mergekit.adapters.merging import Options, merge_adapters
    from sst_mergekit.recipe.check import check
    from sst_mergekit.recipe.parse import load_recipe

    with measured():
        recipe = load_recipe(source)
        if faults := [fault for fault in check(recipe, to_adapter=True) if not fault.warning]:
            raise SystemExit(str(faults))
        merge_adapters(recipe, out, Options(progress=False))


def peft(base: Path, out: Path, *adapters: str) -> None:
    """Load both, combine them by concatenation, and save the result."""
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            empty = torch.zeros(1).expand(weight.shape)
            setattr(module, name, torch.nn.Parameter(empty, requires_grad=False))
    with measured():
        loaded = PeftModel.from_pretrained(model, adapters[0], "one", low_cpu_mem_usage=True)
        loaded.load_adapter(adapters[1], "two", low_cpu_mem_usage=True)
        loaded.add_weighted_adapter(["one", "two"], [1.0, 0.5], "merged", combination_type="cat")
        loaded.save_pretrained(out, selected_adapters=["merged"])


if __name__ == "__main__":
    {"ours": ours, "peft": peft}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
