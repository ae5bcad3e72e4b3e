"""What the user asked for, and the testbeds, tasks and folders that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.experiments.config import Config
from sst_mergekit.experiments.tasks import Bed, Tasks
from sst_mergekit.experiments.trials import Tuning, same_budget
from sst_mergekit.testbeds.hub import sizes as hub
from sst_mergekit.testbeds.options import ModelOptions
from sst_mergekit.testbeds.tiny import sizes as tiny
from sst_mergekit.testbeds.tiny.facts import TaskSize

FIRST_SEED = 42
TASK_SIZE = TaskSize()
# steps and rates of LoRA training, by mode; those of Hub models around the rate of their experts
TINY_GRIDS = {
    "minimal": ((60, 120, 240, 360), (2e-3, 4e-3)),
    "full": ((60, 120, 240, 360), (1e-3, 2e-3, 4e-3, 8e-3)),
}
HUB_FEW_RATES = (1e-4, 1.6e-3)  # lowest and highest, of few-shot training
HUB_GRIDS = {
    "minimal": ((30, 60, 120, 240), (2e-4, 4e-4)),
    "full": ((30, 60, 120, 240), (1e-4, 2e-4, 4e-4, 8e-4)),
}


@dataclass(frozen=True)
class Request:
    """One run.

    Attributes:
        config: the file's content.
        mode: ``minimal`` or ``full``.
        models: of the configuration.
        experiments: names, of ``exp1``, ``exp2`` and ``exp3``.
        seeds: 42, 43, ...
        out: folder of everything that is written.
        workers: processes, one thread each.
        command: as it can be given again.
        examples: whether the report has prompts and answers; None: those of the tiny world alone.
        confirmed: whether programs that Hub models write may be run, in the sandbox.
        ray: address of a Ray cluster that does the work, or None.
        reads: False for a plan: nothing of a Hub model is read, and its units have no true keys.
    """

    config: Config
    mode: str
    models: list[ModelOptions]
    experiments: tuple[str, ...]
    seeds: range
    out: Path
    workers: int
    command: str
    examples: bool | None = None
    confirmed: bool = False
    ray: str | None = None
    reads: bool = True

    @property
    def store(self) -> Path:
        """The folder of the units of work."""
        return self.out / "units"

    def beds(self, model: ModelOptions) -> Sequence[Bed]:
        """Return the testbed of each seed."""
        if model.is_tiny_world:
            return tiny.worlds(model, self.mode, self.seeds)
        return hub.worlds(model, self.config.cache_dir, self.mode, self.seeds, self.reads)

    def tuning(self, model: ModelOptions, experiment: str) -> Tuning:
        """Return what is compared; experiment 1 tunes SST-Merge alone.

        Raises:
            SstError: LoRA training has not as many settings as the others.
        """
        methods = ("sst",) if experiment == "exp1" else self.config.methods[self.mode]
        steps, rates = (TINY_GRIDS if model.is_tiny_world else HUB_GRIDS)[self.mode]
        tuning = Tuning(self.config.budget[self.mode], steps, rates, methods)
        if not model.is_tiny_world:
            tuning = dataclasses.replace(tuning, few_rates=HUB_FEW_RATES)
        return same_budget(tuning, f"exp3_baseline.{self.mode}.budget")

    def tasks(self, model: ModelOptions) -> list[Tasks]:
        """Return the small tasks of each seed."""
        if model.is_tiny_world:
            size = dataclasses.replace(TASK_SIZE, tasks=max(TASK_SIZE.tasks, *self.counts))
        else:
            size = dataclasses.replace(hub.TASK_SIZE, tasks=max(self.counts))
        return [Tasks(bed, size) for bed in self.beds(model)]

    @property
    def counts(self) -> list[int]:
        """The numbers of experts that experiment 2 merges."""
        return self.config.num_experts[self.mode]

    def result(self, model: ModelOptions, experiment: str) -> Path:
        """Return where an experiment's result goes."""
        name = f"{experiment}_results_{model.name}_{self.mode}.json"
        return self.out / self.config.folders[experiment] / name

    def about(self, model: ModelOptions, experiment: str) -> dict[str, Any]:
        """Return the ``.config`` of a result."""
        body: dict[str, Any] = {"experiment": experiment, "model": model.name}
        body["full_name"] = model.full_name
        body |= {"mode": self.mode, "seeds": list(self.seeds), "command": self.command}
        if experiment != "exp2":
            body["budget"] = self.config.budget[self.mode]
        return body
