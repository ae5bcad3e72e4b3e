"""One seed of the tiny world as units of work: data, experts, statistics, patches, and scores of merges."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sst_mergekit.demo.methods import Experts, Method, Settings
from sst_mergekit.demo.plan import MEASURED, TRAINED, DemoSize, Trial, candidate_name
from sst_mergekit.demo.scoring import BATCH_SIZE, TASKS
from sst_mergekit.demo.world import FORMAT as WORLD_FORMAT
from sst_mergekit.experiments import making, scoring
from sst_mergekit.experiments.answers import KEPT
from sst_mergekit.experiments.unit import Unit

PARTS = ("base", "utility", "safety")
MAX_LENGTH = 256
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
        inputs = {"recipe": method.recipe(SYMBOLIC, settings), "seed": self.seed}
        return Trial(method.name, settings, Model(candidate_name(method.name, settings), inputs))

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
        inputs = {
            **model.inputs,
            "split": split,
            "tasks": scoring.task_versions(tasks),
            "batch_size": self.batch_size,
            "max_length": max_length,
            "samples": samples,
            "answers": KEPT,
        }
        parents = {"data": self.unit("data"), **{name: self.unit(name) for name in model.needs}}
        for base, adapter in scoring.adapted(model.inputs["recipe"]) if "recipe" in model.inputs else ():
            parents[f"folded {adapter}"] = self.fold(base, adapter)
        return Unit("score", f"{model.name}, {split}, seed {self.seed}", scoring.score, inputs, parents)

    def fold(self, base: str, adapter: str) -> Unit:
        """Return the unit that folds an adapter into a model for mergekit."""
        parents = {"model": self.unit(base), "adapter": self.unit(adapter)}
        return Unit("fold", f"{adapter} into {base}, seed {self.seed}", making.fold, {}, parents)

    def unit(self, name: str) -> Unit:
        """Return what a recipe names.

        Args:
            name: ``data``, ``base``, ``utility``, ``safety``, ``refit/RATE``, ``trained/STEPS/RATE``, or
                statistics such as ``safety-kronecker``.
        """
        return _unit(self, name)


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
    model, adapter, data = MEASURED[who]
    parents = {"data": world.unit("data"), "model": world.unit(model)}
    if adapter:
        parents["adapter"] = world.unit("safety")
    if kind in ("ekfac", "subspace"):  # measured in the coordinates of the patch, or of other statistics
        further = ("utility-kronecker", "safety-kronecker") if kind == "ekfac" else ("base", "safety")
        parents |= {need: world.unit(need) for need in further}
    inputs = {
        "rows": f"calibration/{data}.jsonl",
        **{"kind": kind, "samples": world.size.samples, "seed": world.seed},
    }
    return Unit("statistics", f"{name}, seed {world.seed}", making.measure, inputs, parents)
