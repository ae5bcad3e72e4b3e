"""A merge as a process of its own, charged from the reading of the recipe to the last file, without imports.

python timed_merges.py RECIPE OUT LORA_CACHE
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from turns import Side

ENTRY = Path(__file__).resolve()


def recipe(
    path: Path, method: str, base: Path | str, experts: list[tuple[Path | str, dict[str, Any]]], **shared: Any
) -> Path:
    """Return ``path`` with a recipe of bfloat16 models, merged in float32."""
    models = [{"model": str(model), "parameters": own} for model, own in experts]
    body = {"merge_method": method, "base_model": str(base), "models": models, "parameters": shared}
    path.write_text(yaml.safe_dump(body | {"dtype": "float32", "out_dtype": "bfloat16"}))
    return path


def side(recipe: Path, lora_cache: Path) -> Side:
    """Return the merge of a recipe, to be run in turn with others."""
    out = recipe.with_suffix(".merged")
    return Side([sys.executable, ENTRY, recipe, out, lora_cache], fresh=(out,))


def main(source: Path, out: str, lora_cache: str) -> None:
    """Merge, measured."""
    import torch
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions
    from usage import measured

    torch.set_num_threads(1)
    options = MergeOptions(
        lora_merge_cache=lora_cache, lora_merge_dtype="float32", quiet=True, copy_tokenizer=False
    )
    with measured():
        config = MergeConfiguration.model_validate(yaml.safe_load(source.read_text()))
        run_merge(config, out, options=options)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
