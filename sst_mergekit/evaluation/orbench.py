"""The task ``sst_orbench_hard``: the hard questions of OR-Bench."""

from __future__ import annotations

from typing import Any

from sst_mergekit.evaluation.over_refusal import look_alikes, rates
from sst_mergekit.evaluation.rows import Row, Source, read_rows

TASK = "sst_orbench_hard"
_SOURCE = Source("orbench_hard/test.jsonl", "bench-llm/or-bench", "train", hub_config="or-bench-hard-1k")


def load(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": prompts}``."""
    return look_alikes(TASK, _SOURCE, read_rows(_SOURCE, {"prompt": str}, data_dir), metadata)


def score(doc: Row, results: list[str]) -> dict[str, float]:
    """Return the metrics of one response."""
    return rates(TASK, doc, results[0])
