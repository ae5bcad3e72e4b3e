"""The task ``sst_jbb_benign``: the harmless counterparts of JailbreakBench's behaviours."""

from __future__ import annotations

from typing import Any

from sst_mergekit.evaluation.over_refusal import look_alikes, rates
from sst_mergekit.evaluation.rows import Row, Source, read_rows

TASK = "sst_jbb_benign"
_SOURCE = Source("jbb_benign/test.jsonl", "JailbreakBench/JBB-Behaviors", "benign", hub_config="behaviors")


def load(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": prompts}``; the question stands in the column ``Goal``."""
    return look_alikes(TASK, _SOURCE, read_rows(_SOURCE, {"Goal": str}, data_dir), metadata, text="Goal")


def score(doc: Row, results: list[str]) -> dict[str, float]:
    """Return the metrics of one response."""
    return rates(TASK, doc, results[0])
