"""What a scored model reached prompt by prompt, in lm-eval's files but without any text.

``sst-mergekit compare`` reads them. Prompts are told apart by the hashes that lm-eval gives them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text

FORMAT = 1  # rises when other files are written
_TIME = "scores"  # in the place of lm-eval's time stamp
_OF_TASK = ("versions", "n-shot", "higher_is_better", "n-samples")
_OF_SAMPLE = ("doc_id", "doc_hash", "prompt_hash", "metrics", "filter")


def write_prompt_scores(results: Mapping[str, Any], out: Path) -> None:
    """Write ``results_scores.json`` and ``samples_TASK_scores.jsonl`` into a folder."""
    tasks = list(results["samples"])
    for task in tasks:
        lines = [_line(sample) for sample in results["samples"][task]]
        write_text(out / f"samples_{task}_{_TIME}.jsonl", "\n".join(lines) + "\n")
    body: dict[str, Any] = {key: {task: results[key][task] for task in tasks} for key in _OF_TASK}
    body["configs"] = {
        task: {"generation_kwargs": results["configs"][task].get("generation_kwargs")} for task in tasks
    }
    write_text(out / f"results_{_TIME}.json", json.dumps(body, indent=1) + "\n")


def _line(sample: Mapping[str, Any]) -> str:
    """Return a sample without text; a metric that is no number has no place here."""
    metrics = [name for name in sample["metrics"] if isinstance(sample[name], int | float)]
    kept = {**{key: sample[key] for key in (*_OF_SAMPLE, *metrics)}, "metrics": metrics, "doc": {}}
    return json.dumps(kept)


def read_prompt_scores(path: Path) -> dict[str, Any]:
    """Return what ``results_scores.json`` in a folder says: versions of tasks, examples shown, and more."""
    return json.loads((path / f"results_{_TIME}.json").read_text(encoding="utf-8"))
