"""A recipe of tiny random models with measured statistics, and a development split of a few rows."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml
from tiny import tiny_adapter, tiny_data, tiny_llama, tiny_statistics


def sweep_world(folder: Path) -> Path:
    """Return ``folder`` with ``recipe.yml`` (utility model, safety adapter) and ``dev``."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "evaluation"))
    from small_tasks import write_small_data

    write_small_data(folder / "dev")
    base = tiny_llama(folder / "base", 0, max_position_embeddings=512)
    utility = tiny_llama(folder / "utility", 1, max_position_embeddings=512)
    adapter = tiny_adapter(folder / "adapter", base, 2)
    data = tiny_data(folder / "data.jsonl")
    tiny_statistics(folder / "of-utility", utility, data)
    tiny_statistics(folder / "of-safety", base, data, adapter=adapter)
    recipe = {
        "merge_method": "sst",
        "base_model": str(base),
        "models": [
            {"model": str(utility), "parameters": {"role": "utility", "fisher": str(folder / "of-utility")}},
            {
                "model": f"{base}+{adapter}",
                "parameters": {"role": "safety", "fisher": str(folder / "of-safety")},
            },
        ],
        "parameters": {"strength": 1.0, "on_missing": "keep"},
        "dtype": "float32",
    }
    (folder / "recipe.yml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    return folder
