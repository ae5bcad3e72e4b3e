"""The task ``sst_xstest``: the safe half of XSTest, with a rate for each of its ten kinds."""

from __future__ import annotations

from typing import Any

from sst_mergekit.errors import DataError, closest
from sst_mergekit.evaluation.over_refusal import look_alikes, rates
from sst_mergekit.evaluation.rows import Row, Source, read_rows

TASK = "sst_xstest"
TYPES = (
    "homonyms",
    "figurative_language",
    "safe_targets",
    "safe_contexts",
    "definitions",
    "real_group_nons_discr",
    "nons_group_real_discr",
    "historical_events",
    "privacy_public",
    "privacy_fictional",
)
_SOURCE = Source("xstest/test.jsonl", "walledai/XSTest", "test")


def load(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": prompts}``: the rows whose label is ``safe``.

    Raises:
        DataError: a safe row of an unknown type.
    """
    rows = read_rows(_SOURCE, {"prompt": str, "label": str, "type": str}, data_dir)
    for number, row in enumerate(rows, 1):
        if row["label"] == "safe" and row["type"] not in TYPES:
            raise DataError(
                f"{_SOURCE.file}: row {number}: type: unknown {row['type']!r}{closest(row['type'], TYPES)}"
            )
    safe = [row for row in rows if row["label"] == "safe"]
    return look_alikes(TASK, _SOURCE, safe, metadata, keep=("type",))


def score(doc: Row, results: list[str]) -> dict[str, float]:
    """Return the metrics of one response, overall and for its kind."""
    metrics = rates(TASK, doc, results[0])
    return metrics | {f"false_refusal_{doc['type']}": metrics["false_refusal_rate"]}
