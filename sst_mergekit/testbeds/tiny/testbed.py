"""One seed of a tiny world as units of work: data, experts, statistics, patches, and scores of merges."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sst_mergekit.baselines.shared.method import Experts
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.derived import derived
from sst_mergekit.testbeds.model import SYMBOLIC, Model, of_model
from sst_mergekit.testbeds.scores import TASKS, Scores, scores_of
from sst_mergekit.testbeds.tiny import facts, making
from sst_mergekit.testbeds.tiny.facts import TaskSize
from sst_mergekit.testbeds.tiny.world import FORMAT, WorldSize

BATCH_SIZE, MAX_LENGTH = 256, 256
RANK = 8  # of adapters


@dataclass(frozen=True)
class TinyWorld:
    """One seed (a ``Testbed``).

    Attributes:
        seed: of data, training and everything random.
        size: of the world.
        samples: calibration conversations per statistic.
        batch_size: of scoring.
    """

    seed: int
    size: WorldSize
    samples: int
    batch_size: int = BATCH_SIZE
    score_tasks = staticmethod(making.score_tasks)  # the work of a score on many small tasks

    @property
    def experts(self) -> Experts:
        """What recipes name."""
        return replace(SYMBOLIC, aligned="unit:/aligned") if self.size.drifted else SYMBOLIC

    @property
    def harmful_prompts(self) -> int:
        """Of a split."""
        return self.size.harmful_prompts

    def written(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe as it is: all is float32 here."""
        return recipe

    def score(
        self,
        model: Model,
        split: str,
        tasks: Sequence[str] = TASKS,
        samples: int | None = None,
        max_length: int = MAX_LENGTH,
    ) -> Unit:
        """Return the unit that scores a model on a split."""
        inputs = {"split": split, **self.asked(tasks, samples, max_length), **scoring.SCORED}
        return of_model(self, "score", model, inputs, making.score, {"data": self.unit("data")}, f"{split}, ")

    def scores(self, split: str, path: Path) -> Scores:
        """Return the scores in the result of a unit of `score`."""
        return scores_of(scoring.read_table(path))

    def asked(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        max_length: int = MAX_LENGTH,
        shots: int | None = None,
    ) -> dict[str, Any]:
        """Return the inputs of a score that do not depend on the model.

        Args:
            tasks: of lm-eval.
            samples: prompts a task at most; None for all.
            max_length: tokens of a prompt.
            shots: examples before MMLU's questions; these models are shown none.
        """
        asked = {"batch_size": self.batch_size, "max_length": max_length, "samples": samples}
        return {"tasks": scoring.task_versions(tasks), **asked}

    def divergence(self, model: Model) -> Unit:
        """Return the unit of a model's KL from the utility expert on held-out benign rows."""
        parents = {"data": self.unit("data"), "utility": self.unit("utility")}
        return of_model(self, "divergence", model, {}, making.diverge, parents)

    def unit(self, name: str) -> Unit:
        """Return what a recipe names (see ``Testbed``); in a drifted world ``aligned`` too."""
        return _unit(self, name)

    def task_data(self, size: TaskSize) -> Unit:
        """Return the unit of the tasks of experiment 2: facts that the base does not know."""
        inputs = {"tasks": size.tasks, "rows": size.rows, "prompts": size.prompts}
        return self._unit("data", "tasks", facts.make_tasks, inputs | {"tasks_format": facts.FORMAT})

    def task_expert(self, task: str, size: TaskSize, **parents: Unit) -> Unit:
        """Return the unit of a task's adapter."""
        inputs = {"rows": [f"train/{task}.jsonl"], "steps": size.steps, "lr": size.rate, "rank": size.rank}
        return self._unit("train", task, making.train_adapter, inputs, parents)

    def task_statistics(self, task: str, kind: str, size: TaskSize, **parents: Unit) -> Unit:
        """Return the unit of statistics of a task's expert."""
        inputs = {"rows": [f"train/{task}.jsonl"], "kind": kind, "labels": "given", "samples": size.samples}
        return self._unit("statistics", f"{task}-{kind}", making.measure, inputs, parents)

    def _unit(self, kind: str, name: str, work: Any, inputs: dict[str, Any], parents: Any = None) -> Unit:
        return Unit(kind, f"{name}, seed {self.seed}", work, {**inputs, "seed": self.seed}, parents or {})


@functools.lru_cache(maxsize=4096)
def _unit(world: TinyWorld, name: str) -> Unit:
    size = asdict(world.size)
    if name == "data":
        return world._unit("data", name, making.make_data, {"world": size, "format": FORMAT})
    if name in making.PARTS:
        needs = making.PARTS[name]
        if world.size.drifted and name == "utility":
            needs = ("data", "aligned")
        parents = {part: world.unit(part) for part in needs}
        return world._unit("train", name, making.train_part, {"part": name, "world": size}, parents)
    kind, facts, parents = derived(world, name)
    if kind == "refit":
        return world._unit("train", name, making.refit, facts, parents)
    if kind == "trained":
        inputs = {"lr": facts.pop("rate"), "rank": RANK, **facts}
        return world._unit("train", name, making.train_adapter, inputs, parents)
    site = facts["site"]
    inputs = {
        "rows": [f"calibration/{data}.jsonl" for data in site.data],
        **{"labels": site.labels, "halved": site.halved},
        **{"kind": facts["kind"], "samples": facts["samples"] or world.samples},
    }
    return world._unit("statistics", name, making.measure, inputs, parents)
