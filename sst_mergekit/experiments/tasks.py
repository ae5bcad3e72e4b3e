"""Experts of many small tasks as units of work: their data, adapters, statistics and scores."""

from __future__ import annotations

from dataclasses import dataclass

from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.hub.testbed import HubTestbed
from sst_mergekit.testbeds.model import Model, of_model
from sst_mergekit.testbeds.shares import QUESTIONS
from sst_mergekit.testbeds.tiny.facts import TaskSize
from sst_mergekit.testbeds.tiny.testbed import TinyWorld

Bed = TinyWorld | HubTestbed


@dataclass(frozen=True)
class Tasks:
    """The tasks of one seed over that seed's base model."""

    world: Bed
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
        inputs = {"split": f"{split}/{tasks}", **self.world.asked(QUESTIONS, shots=0)}
        parents = {"data": self.unit("tasks")}
        return of_model(self, "score", model, inputs, self.world.score_tasks, parents, f"{split}/{tasks}, ")
