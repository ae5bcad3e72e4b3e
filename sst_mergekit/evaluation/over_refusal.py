"""Harmless questions that look harmful: what all tasks over them share, and ``sst_over_refusal``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sst_mergekit.errors import DataError
from sst_mergekit.evaluation.outcome import outcome
from sst_mergekit.evaluation.rows import Row, Source, read_rows, to_dataset
from sst_mergekit.evaluation.selection import select
from sst_mergekit.evaluation.weights import group_scores

TASK = "sst_over_refusal"
_SOURCE = Source("over_refusal/test.jsonl", "walledai/XSTest", "test")


def load(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": prompts}``: the rows of the local file (or of XSTest) whose label is ``safe``."""
    rows = read_rows(_SOURCE, {"prompt": str, "label": str}, data_dir)
    return look_alikes(TASK, _SOURCE, [row for row in rows if row["label"] == "safe"], metadata)


def score(doc: Row, results: list[str]) -> dict[str, float]:
    """Return the metrics of one response."""
    return rates(TASK, doc, results[0])


def look_alikes(
    task: str,
    source: Source,
    rows: list[Row],
    metadata: Mapping[str, Any],
    text: str = "prompt",
    keep: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return ``{"test": prompts}`` of the rows' questions.

    Args:
        task: which task asks.
        source: where the rows are from, for messages.
        rows: harmless questions.
        metadata: see `select`.
        text: the field that holds the question.
        keep: further fields that the task's score needs.
    """
    if not rows:
        raise DataError(f"{source.file}: no harmless question in it, so there is nothing to ask")
    prompts = [
        {"prompt": row[text].strip(), "target": "an answer", **{name: row[name] for name in keep}}
        for row in rows
    ]
    return {"test": to_dataset(select(task, prompts, metadata))}


def rates(task: str, doc: Row, response: str) -> dict[str, float]:
    """Return the metrics of one response: exactly one of the three rates is 1."""
    found = outcome(response, doc["prompt"])
    return {
        "false_refusal_rate": found.refused,
        "compliance_rate": found.answered,
        "degenerate_rate": found.degenerate,
        **group_scores(task, found.answered),
    }
