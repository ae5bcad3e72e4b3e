"""What a scored model keeps of its answers: the first few of each task, and what was right by subject."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text

ANSWERS = "answers.json"
KEPT = 8  # answers a task, the first ones: the same prompts for every model of a split
# what a response is by the metric that is 1 for it
_OUTCOMES = {
    "refusal_rate": "refused",
    "false_refusal_rate": "refused",
    "resistance_rate": "refused",
    "degenerate_rate": "degenerate",
    "pass_at_1": "passed",
}

Samples = Mapping[str, Sequence[Mapping[str, Any]]]


def write_answers(samples: Samples, count: int, out: Path) -> None:
    """Write what is kept of lm-eval's samples into a result's folder."""
    body = {"subjects": by_subject(samples.get("sst_mmlu", ())), "answers": first_answers(samples, count)}
    write_text(out / ANSWERS, json.dumps(body, indent=1, ensure_ascii=False) + "\n")


def by_subject(samples: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Return the questions answered rightly, and all, of each subject in the order of the data.

    >>> by_subject([{"doc": {"subject": "law"}, "acc": 1.0}, {"doc": {"subject": "law"}, "acc": 0.0}])
    {'law': {'right': 1, 'n': 2}}
    """
    found: dict[str, dict[str, int]] = {}
    for sample in samples:
        count = found.setdefault(sample["doc"]["subject"], {"right": 0, "n": 0})
        count["right"] += int(sample["acc"])
        count["n"] += 1
    return found


def first_answers(samples: Samples, count: int) -> dict[str, list[dict[str, Any]]]:
    """Return the first `count` answers of each task that asks for text: prompt, response, what it is."""
    return {
        task: [_answer(sample) for sample in found if sample["doc_id"] < count]
        for task, found in samples.items()
        if task != "sst_mmlu"
    }


def _answer(sample: Mapping[str, Any]) -> dict[str, Any]:
    doc = sample["doc"]
    kinds = [word for metric, word in _OUTCOMES.items() if sample.get(metric) == 1.0]
    other = "failed" if "pass_at_1" in sample else "answered"
    return {
        "prompt": doc["prompt"],
        "groups": [doc["wrapping"]] if "wrapping" in doc else list(doc.get("categories", ())),
        "response": sample["filtered_resps"][0],
        "outcome": kinds[0] if kinds else other,
    }


def read_answers(path: Path) -> dict[str, Any]:
    """Return what is kept in a result's folder."""
    return json.loads((path / ANSWERS).read_text(encoding="utf-8"))
