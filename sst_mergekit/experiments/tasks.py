"""Experts of many small tasks as units of work: their data, adapters, statistics and scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.tiny import facts
from sst_mergekit.testbeds.tiny.facts import TaskSize
from sst_mergekit.testbeds.tiny.testbed import Model, World, score_unit

SHARES = "tasks.json"
QUESTIONS = ("sst_mmlu",)


@dataclass(frozen=True)
class Tasks:
    """The tasks of one seed over that seed's base model."""

    world: World
    size: TaskSize = TaskSize()

    @property
    def seed(self) -> int:
        """Of the world."""
        return self.world.seed

    def unit(self, name: str) -> Unit:
        """Return ``tasks``, ``base``, ``taskNN`` (an adapter) or ``taskNN-kronecker`` (its statistics)."""
        if name == "base":
            return self.world.unit("base")
        if name == "tasks":
            return self.world.task_data(self.size)
        task, _, kind = name.partition("-")
        parents = {"data": self.unit("tasks"), "model": self.unit("base")}
        if kind:
            return self.world.task_statistics(task, kind, self.size, **parents, adapter=self.unit(task))
        return self.world.task_expert(task, self.size, **parents)

    def score(self, model: Model, split: str, tasks: str) -> Unit:
        """Return the unit that scores a model on ``tasks``: a number of them, or the name of one."""
        inputs = {**model.inputs, "split": f"{split}/{tasks}", **self.world.asked(QUESTIONS, shots=0)}
        return score_unit(self, model, split, inputs, score_tasks, "tasks")


def score_tasks(inputs: Mapping[str, Any], parents: Mapping[str, Path], out: Path) -> None:
    """Write each task's share of questions answered rightly, by ``sst_mmlu``."""
    names = json.loads((parents["data"] / inputs["split"] / facts.NAMES).read_text(encoding="utf-8"))
    samples = scoring.results_of_candidate(inputs, parents, out)["samples"]["sst_mmlu"]
    right: dict[str, list[float]] = {name: [] for name in names}
    for sample in samples:
        right[names[sample["doc_id"]]].append(float(sample["acc"]))
    shares = {task: {"share": sum(found) / len(found), "n": len(found)} for task, found in right.items()}
    write_text(out / SHARES, json.dumps(shares, indent=1) + "\n")


def read_shares(path: Path) -> dict[str, float]:
    """Return the share of each task in a result's folder."""
    body = json.loads((path / SHARES).read_text(encoding="utf-8"))
    return {task: found["share"] for task, found in body.items()}
