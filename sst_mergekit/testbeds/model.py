"""What a testbed is: one seed of base, experts, statistics and patches as units of work, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sst_mergekit.baselines.shared.method import Experts
from sst_mergekit.jobs.unit import Unit, Work
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.scores import Scores

# what every method's recipe is written with; the names are those of `Testbed.unit`
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


class Owner(Protocol):
    """What recipes name units of."""

    @property
    def seed(self) -> int:
        """Of everything random."""
        ...

    def unit(self, name: str) -> Unit:
        """Return what a recipe names."""
        ...


class Testbed(Owner, Protocol):
    """One seed of what is studied.

    Its units are ``data``, ``base``, ``utility``, ``safety`` (an adapter), ``refit/RATE``, trained adapters
    on the utility expert (``trained/STEPS/RATE``, ``few_shot/ROWS/STEPS/RATE``), and statistics such as
    ``safety-kronecker``.
    """

    @property
    def experts(self) -> Experts:
        """What recipes name."""
        ...

    def written(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe with the precision that merges of this model are written in."""
        ...

    def score(self, model: Model, split: str) -> Unit:
        """Return the unit that scores a model on a split, ``dev`` or ``test``."""
        ...

    def scores(self, split: str, path: Path) -> Scores:
        """Return the scores in the result of a unit of `score`."""
        ...

    def divergence(self, model: Model) -> Unit | None:
        """Return the unit of a model's KL from the utility expert on held-out benign rows, if any."""
        ...


def of_model(
    owner: Owner,
    kind: str,
    model: Model,
    inputs: Mapping[str, Any],
    work: Work,
    parents: Mapping[str, Unit],
    label: str = "",
) -> Unit:
    """Return a unit about a model, with what that is made of as parents; adapters are folded once."""
    parents = {**parents, **{name: owner.unit(name) for name in model.needs}}
    for base, adapter in scoring.adapted(model.inputs["recipe"]) if "recipe" in model.inputs else ():
        pair = {"model": owner.unit(base), "adapter": owner.unit(adapter)}
        name = f"{adapter} into {base}, seed {owner.seed}"
        parents[f"folded {adapter}"] = Unit("fold", name, scoring.fold, {}, pair)
    return Unit(kind, f"{model.name}, {label}seed {owner.seed}", work, {**model.inputs, **inputs}, parents)
