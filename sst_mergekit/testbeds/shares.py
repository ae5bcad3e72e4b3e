"""Scoring a model on many small tasks: each one's share of questions answered rightly."""

from __future__ import annotations

import json
from pathlib import Path

from sst_mergekit.files import write_text
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.scoring import Inputs, Parents, Results
from sst_mergekit.testbeds.tiny.facts import NAMES

SHARES = "tasks.json"
QUESTIONS = ("sst_mmlu",)


def score_tasks(inputs: Inputs, parents: Parents, out: Path, results_of: Results) -> None:
    """Write each task's share of questions answered rightly, by ``sst_mmlu``."""
    names = json.loads((parents["data"] / inputs["split"] / NAMES).read_text(encoding="utf-8"))
    samples = scoring.results_of_model(inputs, parents, out, results_of)["samples"]["sst_mmlu"]
    right: dict[str, list[float]] = {name: [] for name in names}
    for sample in samples:
        right[names[sample["doc_id"]]].append(float(sample["acc"]))
    shares = {task: {"share": sum(found) / len(found), "n": len(found)} for task, found in right.items()}
    write_text(out / SHARES, json.dumps(shares, indent=1) + "\n")


def read_shares(path: Path) -> dict[str, float]:
    """Return the share of each task in a result's folder."""
    body = json.loads((path / SHARES).read_text(encoding="utf-8"))
    return {task: found["share"] for task, found in body.items()}
