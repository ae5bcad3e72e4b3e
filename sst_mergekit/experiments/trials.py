"""What is tried on a testbed: unmerged models, merges by a method, and adapters trained without a merge."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.methods import EVERY, METHODS, Method, Settings
from sst_mergekit.experiments.results import SAFE, Choice
from sst_mergekit.experiments.variants import VARIANTS
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds.model import Model, Testbed, expert

TRAINED, FEW_SHOT = "lora_training", "few_shot"
TRAININGS = {TRAINED: "LoRA training on calibration data", FEW_SHOT: "few-shot LoRA (1, 4, 16 refusals)"}
FEW, FEW_STEPS = (1, 4, 16), 10.0  # refusals, epochs
_BY_NAME = {method.name: method for method in EVERY + VARIANTS}


@dataclass(frozen=True)
class Tuning:
    """What is compared, and with what effort.

    Attributes:
        budget: settings tried on the development split, the same number for every method.
        steps, rates: the grid of LoRA training; their product is the budget.
        methods: names.
        choice: of a method's setting.
        few_rates: the lowest and highest learning rate of few-shot training.
    """

    budget: int
    steps: tuple[int, ...]
    rates: tuple[float, ...]
    methods: tuple[str, ...] = (*(method.name for method in METHODS), *TRAININGS)
    choice: Choice = SAFE
    few_rates: tuple[float, float] = (1e-3, 1.6e-2)

    @property
    def merges(self) -> list[Method]:
        """The methods that merge."""
        return [method for name, method in _BY_NAME.items() if name in self.methods]


def same_budget(tuning: Tuning, where: str) -> Tuning:
    """Return the tuning with as many settings of LoRA training as of every method.

    Raises:
        SstError: its grid has not so many; the line begins with `where`.
    """
    steps = tuning.steps[: tuning.budget // len(tuning.rates)]
    if TRAINED in tuning.methods and len(steps) * len(tuning.rates) != tuning.budget:
        most = len(tuning.steps) * len(tuning.rates)
        raise SstError(f"{where}: {TRAINED} has no {tuning.budget} settings in this mode; at most {most}")
    return replace(tuning, steps=steps)


@dataclass(frozen=True)
class Trial:
    """A model together with the method and the settings that it stands for."""

    method: str
    settings: Settings
    model: Model


def unmerged(bed: Testbed) -> list[Trial]:
    """Return the base and both experts."""
    models = expert("base"), expert("utility"), expert("base", "safety")
    return [Trial(model.name, {}, model) for model in models]


def trial(bed: Testbed, name: str, settings: Settings) -> Trial:
    """Return a merge by a method, or a trained adapter on the utility expert."""
    if name in TRAININGS:
        numbers = "/".join(f"{value:g}" for value in settings.values())
        head = "trained" if name == TRAINED else name
        return Trial(name, settings, expert("utility", f"{head}/{numbers}"))
    recipe = bed.written(_BY_NAME[name].recipe(bed.experts, settings))
    return Trial(name, settings, Model(spelled(name, settings), {"recipe": recipe, "seed": bed.seed}))


def trainings(tuning: Tuning) -> dict[str, list[Settings]]:
    """Return the settings of each training without a merge that is compared."""
    grid = [{"steps": float(s), "learning_rate": r} for r in tuning.rates for s in tuning.steps]
    every = {TRAINED: grid, FEW_SHOT: few_shots(tuning.budget, tuning.few_rates)}
    return {name: settings for name, settings in every.items() if name in tuning.methods}


def parts(bed: Testbed, tuning: Tuning) -> list[Unit]:
    """Return the units that merges by the methods are made of: experts, statistics and patches."""
    found: dict[str, Unit] = {}
    for method in tuning.merges:
        values = method.second[1] if method.second else (None,)
        for value in values:
            settings = {"strength": method.strength}
            if method.second and value is not None:
                settings[method.second[0]] = value
            found |= {name: bed.unit(name) for name in trial(bed, method.name, settings).model.needs}
    return list(found.values())


def few_shots(budget: int, rates: tuple[float, float]) -> list[Settings]:
    """Return `budget` settings of few-shot training: numbers of refusals, each at as many rates.

    As in Safety at One Shot (arXiv:2601.01887): ten epochs, which are ten steps.
    """
    found = []
    for place, count in enumerate(FEW):
        tried = budget // len(FEW) + (place < budget % len(FEW))
        for i in range(tried):
            rate = rates[0] * (rates[1] / rates[0]) ** (i / max(1, tried - 1))
            found.append({"rows": float(count), "steps": FEW_STEPS, "learning_rate": round(rate, 5)})
    return found


def spelled(method: str, settings: Settings) -> str:
    """Return a name that spells the settings.

    >>> spelled("sst", {"strength": 0.5, "cost": 0.3})
    'sst-strength0.5-cost0.3'
    """
    return "-".join([method, *(f"{key}{value:g}" for key, value in settings.items())])
