"""The task ``sst_gsm8k``: lm-eval's ``gsm8k`` under one filter, so that it can stand in a group."""

from __future__ import annotations

from typing import Any

from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter

from sst_mergekit.evaluation.outcome import outcome
from sst_mergekit.evaluation.rows import Row, Source, read_rows, to_dataset
from sst_mergekit.evaluation.selection import select
from sst_mergekit.evaluation.weights import group_scores

TASK = "sst_gsm8k"
STRICT = RegexFilter(r"#### (\-?[0-9\.\,]+)")
FLEXIBLE = RegexFilter(r"(-?[$0-9.,]{2,})|(-?[0-9]+)", group_select=-1)
_IGNORED = [",", r"\$", "(?s).*#### ", r"\.$"]
_FIELDS = {"question": str, "answer": str}


def load(data_dir: str | None = None, **metadata: Any) -> dict[str, Any]:
    """Return ``{"test": questions, "train": examples}``."""
    rows = {
        split: read_rows(Source(f"gsm8k/{split}.jsonl", "openai/gsm8k", split, "main"), _FIELDS, data_dir)
        for split in ("test", "train")
    }
    return {
        "test": to_dataset(select(TASK, rows["test"], metadata, text="question")),
        "train": to_dataset(rows["train"]),
    }


def score(doc: Row, results: list[str]) -> dict[str, float]:
    """Return whether the number behind ``####``, and whether the last number, is the answer's."""
    flexible = _matches(FLEXIBLE, results[0], doc)
    return {
        "exact_match_strict": _matches(STRICT, results[0], doc),
        "exact_match_flexible": flexible,
        "degenerate_rate": outcome(results[0], doc["question"]).degenerate,
        **group_scores(TASK, flexible),
    }


def _matches(extract: RegexFilter, response: str, doc: Row) -> float:
    [[number]] = extract.apply([[response]], [doc])
    found = exact_match_hf_evaluate([number], [doc["answer"]], regexes_to_ignore=_IGNORED, ignore_case=True)
    return float(found["exact_match"])
