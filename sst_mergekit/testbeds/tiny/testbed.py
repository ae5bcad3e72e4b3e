"""One seed of the tiny world as units of work: data, experts, statistics, patches, and scores of merges."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sst_mergekit.experiments.demo_plan import MEASURED, TRAINED, DemoSize, Trial, candidate_name
from sst_mergekit.experiments.methods import Experts, Method, Settings
from sst_mergekit.jobs.unit import Unit, Work
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.answers import KEPT
from sst_mergekit.testbeds.prompt_scores import FORMAT as PROMPT_FORMAT
from sst_mergekit.testbeds.scores import BATCH_SIZE, TASKS
from sst_mergekit.testbeds.tiny import facts, making
from sst_mergekit.testbeds.tiny.facts import TaskSize
from sst_mergekit.testbeds.tiny.world import FORMAT as WORLD_FORMAT

PARTS = ("base", "utility", "safety")
MAX_LENGTH = 256
SCORED = {"answers": KEPT, "prompt_scores": PROMPT_FORMAT}  # what a score keeps beside its table
# what every recipe of the demo's methods is written with; the names are those of `World.unit`
SYMBOLIC = Experts("unit:/base", "unit:/utility", "unit:/base+unit:/safety", "unit:", "unit:/refit")


@dataclass(frozen=True)
class Model:
    """What can be scored: an expert (with an adapter on it), or a recipe."""

    name: str
    inputs: Mapping[str, Any]

    @property
    def needs(self) -> list[str]:
        """The units that it is made of."""
        if "recipe" not in self.inputs:
            return [name for name in (self.inputs["model"], self.inputs["adapter"]) if name]
        return scoring.named(str(self.inputs["recipe"]))


def expert(model: str, adapter: str | None = None) -> Model:
    """Return an unmerged model."""
    return Model(adapter or model, {"model": model, "adapter": adapter})


@dataclass(frozen=True)
class World:
    """One seed: what can be made of it, and tried (a ``Plan`` of the demo's comparison).

    Attributes:
        seed: of data, training and everything random.
        size: the demo's.
        batch_size: of scoring.
        trained: whether LoRA training on the calibration data is tried, too.
    """

    seed: int
    size: DemoSize
    batch_size: int = BATCH_SIZE
    trained: bool = False

    def unmerged(self) -> list[Trial]:
        """Return the base and both experts."""
        models = expert("base"), expert("utility"), expert("base", "safety")
        return [Trial(model.name, {}, model) for model in models]

    def merge(self, method: Method, settings: Settings) -> Trial:
        """Return a merge by `method`."""
        inputs = {"recipe": self.written(method.recipe(SYMBOLIC, settings)), "seed": self.seed}
        return Trial(method.name, settings, Model(candidate_name(method.name, settings), inputs))

    def written(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe with the precision that merges of this model are written in."""
        return recipe

    def trainings(self) -> list[Trial]:
        """Return the trained rival at each of its settings, if it is to be tried."""
        if not self.trained:
            return []
        grid = [(steps, rate) for rate in self.size.rates for steps in self.size.steps]
        return [
            Trial(
                TRAINED,
                {"steps": float(steps), "learning_rate": rate},
                expert("utility", f"trained/{steps}/{rate:g}"),
            )
            for steps, rate in grid
        ]

    def score(
        self,
        model: Model,
        split: str,
        tasks: Sequence[str] = TASKS,
        samples: int | None = None,
        max_length: int = MAX_LENGTH,
    ) -> Unit:
        """Return the unit that scores a model on a split."""
        inputs = {**model.inputs, "split": split, **self.asked(tasks, samples, max_length), **SCORED}
        return score_unit(self, model, split, inputs, scoring.score)

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
            shots: examples shown before MMLU's questions, None for the task's own number; the tiny world's
                models are shown none.
        """
        return {
            "tasks": scoring.task_versions(tasks),
            "batch_size": self.batch_size,
            "max_length": max_length,
            "samples": samples,
        }

    @property
    def harmful_prompts(self) -> int:
        """Of a split."""
        return self.size.world.harmful_prompts

    def unit(self, name: str) -> Unit:
        """Return what a recipe names.

        Args:
            name: ``data``, ``base``, ``utility``, ``safety``, ``refit/RATE``, ``trained/STEPS/RATE``, or
                statistics such as ``safety-kronecker``.
        """
        return _unit(self, name)

    def task_data(self, size: TaskSize) -> Unit:
        """Return the unit of the tasks of experiment 2: facts that the base does not know."""
        inputs = {"tasks": size.tasks, "rows": size.rows, "prompts": size.prompts, "seed": self.seed}
        inputs |= {"tasks_format": facts.FORMAT}
        return Unit("data", f"tasks, seed {self.seed}", facts.make_tasks, inputs)

    def task_expert(self, task: str, size: TaskSize, **parents: Unit) -> Unit:
        """Return the unit of a task's adapter."""
        inputs = {"rows": [f"train/{task}.jsonl"], "steps": size.steps, "lr": size.rate, "rank": size.rank}
        label = f"{task}, seed {self.seed}"
        return Unit("train", label, making.train_adapter, inputs | {"seed": self.seed}, parents)

    def task_statistics(self, task: str, kind: str, size: TaskSize, **parents: Unit) -> Unit:
        """Return the unit of statistics of a task's expert."""
        inputs = {
            "rows": [f"train/{task}.jsonl"],
            "kind": kind,
            "labels": "given",
            "samples": size.samples,
            "seed": self.seed,
        }
        label = f"{task}-{kind}, seed {self.seed}"
        return Unit("statistics", label, making.measure, inputs, parents)


class Owner(Protocol):
    """What recipes name units of: a world, or the tasks over it."""

    @property
    def seed(self) -> int:
        """Of everything random."""
        ...

    def unit(self, name: str) -> Unit:
        """Return what a recipe names."""
        ...


def score_unit(
    owner: Owner, model: Model, split: str, inputs: Mapping[str, Any], work: Work, data: str = "data"
) -> Unit:
    """Return the unit that scores a model, with what it is made of as parents; adapters are folded once."""
    parents = {"data": owner.unit(data), **{name: owner.unit(name) for name in model.needs}}
    for base, adapter in scoring.adapted(model.inputs["recipe"]) if "recipe" in model.inputs else ():
        pair = {"model": owner.unit(base), "adapter": owner.unit(adapter)}
        label = f"{adapter} into {base}, seed {owner.seed}"
        parents[f"folded {adapter}"] = Unit("fold", label, making.fold, {}, pair)
    return Unit("score", f"{model.name}, {split}, seed {owner.seed}", work, inputs, parents)


@functools.lru_cache(maxsize=4096)
def _unit(world: World, name: str) -> Unit:
    seed, label = world.seed, f"{name}, seed {world.seed}"
    size = asdict(world.size.world)
    if name == "data":
        return Unit("data", label, making.make_data, {"world": size, "seed": seed, "format": WORLD_FORMAT})
    if name in PARTS:
        parents = {part: world.unit(part) for part in ("data", "base") if part != name}
        inputs = {"part": name, "world": size, "seed": seed}
        return Unit("train", label, making.train_part, inputs, parents)
    if name.startswith("refit/"):
        needs = ("data", *PARTS, "utility-kronecker", "safety-kronecker")
        inputs = {"rate": float(name.split("/")[1]), "seed": seed}
        return Unit("train", label, making.refit, inputs, {need: world.unit(need) for need in needs})
    if name.startswith("trained/"):
        _, steps, rate = name.split("/")
        inputs = {
            "rows": ["calibration/harm.jsonl", "calibration/benign.jsonl"],
            **{"steps": int(steps), "lr": float(rate), "rank": 8, "seed": seed},
        }
        parents = {"data": world.unit("data"), "model": world.unit("utility")}
        return Unit("train", label, making.train_adapter, inputs, parents)
    return _statistics(world, name)


def _statistics(world: World, name: str) -> Unit:
    who, _, kind = name.rpartition("-")
    measured = MEASURED[who]
    parents = {"data": world.unit("data"), "model": world.unit(measured.model)}
    if measured.adapter:
        parents["adapter"] = world.unit("safety")
    parents |= {need: world.unit(need) for need in making.coordinates(kind)}
    inputs = {
        "rows": [f"calibration/{data}.jsonl" for data in measured.data],
        "labels": measured.labels,
        **{"kind": kind, "samples": world.size.samples, "seed": world.seed},
    }
    return Unit("statistics", f"{name}, seed {world.seed}", making.measure, inputs, parents)
