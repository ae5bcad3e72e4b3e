"""The model card of a merged adapter."""

from __future__ import annotations

from collections.abc import Sequence

import yaml
from mergekit.common import ModelReference

from sst_mergekit.adapters.reading import Adapter
from sst_mergekit.adapters.report import Report
from sst_mergekit.recipe.checkpoint import is_local
from sst_mergekit.recipe.parse import Recipe


def card(name: str, recipe: Recipe, base: ModelReference, adapters: Sequence[Adapter], report: Report) -> str:
    """Return README.md: what was merged, how, how exactly, and the recipe itself."""
    head: dict = {"library_name": "peft", "tags": ["lora", "merge", "mergekit", "sst-mergekit"]}
    if not is_local(base.model.path):
        head = {"base_model": base.model.path} | head
    done = f"\n\n{report.coverage.summary()}" if report.coverage else ""
    listed = "\n".join(f"- `{adapter.source}`" for adapter in adapters)
    return f"""---
{yaml.safe_dump(head, sort_keys=False).strip()}
---
# {name}

A LoRA adapter on `{base}`, merged from adapters by `merge_method: {recipe.raw["merge_method"]}` with
`sst-mergekit lora`; no base weights were read.

{listed}

{report.summary()}{done}

```yaml
{recipe.path.read_text(encoding="utf-8").strip()}
```
"""
