"""One seed of a Hub model as units of work: data, LoRA experts, statistics, patches, and scores of merges."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.baselines.shared.method import Experts
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.hub import making, subjects
from sst_mergekit.testbeds.model import SYMBOLIC, Model, of_model
from sst_mergekit.testbeds.options import Sizes
from sst_mergekit.testbeds.real import units
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.real.units import Treatment
from sst_mergekit.testbeds.scores import TASKS, Scores, scores_of
from sst_mergekit.testbeds.tiny.facts import TaskSize

RATE, PASSES = 2e-4, 2  # of the experts, and how often each row is seen
MAX_LENGTH = 1024  # tokens of a conversation
CALIBRATION, DEVELOPMENT = 256, 200  # at most, and no more than rows to train on, prompts of the test split
HUMANEVAL = "sst_humaneval"
# whose batch size of the configuration a task takes; every other is of prompts as BeaverTails' are
DATASET_OF = {"sst_mmlu": "mmlu", HUMANEVAL: "humaneval"}
EXPERTS = {"utility_lora": "train/utility.jsonl", "safety": "train/safety.jsonl"}


@dataclass(frozen=True, eq=False)
class Origin:
    """What the worlds of all seeds are made from.

    Attributes:
        full_name, weights: the model, and the fingerprint of its weights.
        data, hashes: the folder of downloaded data, and the SHA-256 of each of its files.
        sizes: of the mode.
        beavertails: ``30k`` or ``330k``.
        loading: of the model.
    """

    full_name: str
    weights: str
    data: str
    hashes: dict[str, str]
    sizes: Sizes
    beavertails: str
    loading: Loading


@dataclass(frozen=True)
class HubTestbed:
    """One seed (a ``Testbed``)."""

    seed: int
    origin: Origin
    score_tasks = staticmethod(making.score_tasks)  # the work of a score on many small tasks

    @property
    def experts(self) -> Experts:
        """What recipes name."""
        return SYMBOLIC

    @property
    def how(self) -> Treatment:
        """How models are treated."""
        batch = self.origin.sizes.batch_sizes["beavertails"]
        return Treatment(self.origin.loading, batch, MAX_LENGTH, training={"batch_size": batch})

    @property
    def harmful_prompts(self) -> int:
        """Of the test split."""
        return self.origin.sizes.harmful

    def written(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe with the model's precision: computed in float32, written as the model is."""
        return {**recipe, "out_dtype": self.origin.loading.dtype}

    def score(
        self,
        model: Model,
        split: str,
        tasks: Sequence[str] = TASKS,
        samples: int | None = None,
        max_length: int = 0,
    ) -> Unit:
        """Return the unit that scores a model on a split; HumanEval is in the test split alone.

        The model's own length holds: `max_length` is not used.
        """
        wanted = [task for task in tasks if split == "test" or task != HUMANEVAL]
        inputs = {"split": split, **self.asked(wanted, samples), **scoring.SCORED}
        return of_model(self, "score", model, inputs, making.score, {"data": self.unit("data")}, f"{split}, ")

    def scores(self, split: str, path: Path) -> Scores:
        """Return the scores in the result of a unit of `score`."""
        return scores_of(scoring.read_table(path))

    def divergence(self, model: Model) -> None:
        """Return None: no benign rows are held out."""

    def asked(
        self,
        tasks: Sequence[str],
        samples: int | None = None,
        max_length: int = 0,
        shots: int | None = None,
    ) -> dict[str, Any]:
        """Return the inputs of a score that do not depend on the model."""
        sizes = self.origin.sizes.batch_sizes
        return {
            "shots": shots,
            "tasks": scoring.task_versions(tasks),
            "batch_sizes": {task: sizes[DATASET_OF.get(task, "beavertails")] for task in tasks},
            "samples": samples,
            "loading": asdict(self.origin.loading),
        }

    def unit(self, name: str) -> Unit:
        """Return what a recipe names, (see ``Testbed``); ``utility_lora`` is the utility expert's adapter."""
        return _unit(self, name)

    def task_data(self, size: TaskSize) -> Unit:
        """Return the unit of the tasks of experiment 2: subjects of MMLU."""
        about = {"tasks": size.tasks, "rows": size.rows, "prompts": size.prompts, "seed": self.seed}
        inputs = {"data": self.origin.data, "hashes": _of_mmlu(self.origin), **about}
        return Unit("data", f"tasks, seed {self.seed}", subjects.make_tasks, inputs)

    def task_expert(self, task: str, size: TaskSize, **parents: Unit) -> Unit:
        """Return the unit of a task's adapter."""
        options = {**self.how.training, "steps": size.steps, "learning_rate": size.rate}
        return units.lora(self, task, [f"train/{task}.jsonl"], options, **parents)

    def task_statistics(self, task: str, kind: str, size: TaskSize, **parents: Unit) -> Unit:
        """Return the unit of statistics of a task's expert, on all that it was trained on."""
        rows = f"train/{task}.jsonl"
        return units.statistics(self, f"{task}-{kind}", rows, kind, "given", None, **parents)


def _of_mmlu(origin: Origin) -> dict[str, str]:
    return {name: digest for name, digest in origin.hashes.items() if name.startswith("mmlu/")}


@functools.lru_cache(maxsize=4096)
def _unit(world: HubTestbed, name: str) -> Unit:
    origin = world.origin
    if name == "base":
        return units.model(origin.full_name, origin.weights)
    if name == "data":
        return units.made(world, "data", name, making.prepare, _data(origin, world.seed), {})
    if name in EXPERTS:
        parents = {"data": world.unit("data"), "model": world.unit("base")}
        options = {**world.how.training, "steps": _steps(origin.sizes), "learning_rate": RATE}
        return units.lora(world, name, [EXPERTS[name]], options, **parents)
    return units.folded(world) if name == "utility" else units.following(world, name)


def _data(origin: Origin, seed: int) -> dict[str, Any]:
    sizes = {key: value for key, value in asdict(origin.sizes).items() if key != "batch_sizes"}
    wanted = {
        "calibration": min(CALIBRATION, origin.sizes.train),
        "development": min(DEVELOPMENT, origin.sizes.harmful),
        "beavertails": origin.beavertails,
        "seed": seed,
    }
    return {"data": origin.data, "hashes": origin.hashes, "sizes": sizes, "wanted": wanted}


def _steps(sizes: Sizes) -> int:
    return math.ceil(PASSES * sizes.train / sizes.batch_sizes["beavertails"])
