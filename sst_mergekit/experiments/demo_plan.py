"""Everything one seed of the demo does: its folders, experts, statistics and candidates."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_mergekit.experiments.methods import METHODS, Experts, Method, Settings
from sst_mergekit.merging.recipe import fold_adapter, write_recipe
from sst_mergekit.testbeds.candidates import Expert, Merge, Training
from sst_mergekit.testbeds.tiny.preparing import axes_of, fit_patch, halved, measure_model
from sst_mergekit.testbeds.tiny.world import FULL as FULL_WORLD
from sst_mergekit.testbeds.tiny.world import QUICK as QUICK_WORLD
from sst_mergekit.testbeds.tiny.world import WorldSize


@dataclass(frozen=True)
class Measured:
    """Whose statistics: a model, an adapter on it, calibration data of equal shares, and the labels."""

    model: str
    adapter: str | None
    data: tuple[str, ...]
    labels: str = "given"


MEASURED = {
    "utility": Measured("utility", None, ("benign",), "sampled"),
    "safety": Measured("base", "safety_lora", ("harm", "look_alikes")),
    "base-on-benign": Measured("base", None, ("benign",), "sampled"),
    "base-on-harm": Measured("base", None, ("harm", "look_alikes")),
}
# at other sites, for variants: the safety patch on the utility expert, half of it or all of it
ELSEWHERE = {
    "utility-given": Measured("utility", None, ("benign",)),
    "safety-on-harm-alone": Measured("base", "safety_lora", ("harm",)),
    "utility-on-harm": Measured("utility", None, ("harm", "look_alikes")),
    "half-on-benign": Measured("utility", "safety_lora", ("benign",), "sampled"),
    "half-on-harm": Measured("utility", "safety_lora", ("harm", "look_alikes")),
}
SAFETY = "safety_lora"  # the safety expert's adapter
TRAINED, FEW_SHOT = "lora_training", "few_shot"
TRAININGS = {TRAINED: "LoRA training on calibration data", FEW_SHOT: "few-shot LoRA (1, 4, 16 refusals)"}
FEW, FEW_STEPS, FEW_RATES = (1, 4, 16), 10.0, (1e-3, 1.6e-2)  # refusals, epochs, lowest and highest rate


@dataclass(frozen=True)
class DemoSize:
    """How much the demo does.

    Attributes:
        world: how much is trained and asked.
        budget: settings tried on the development split, the same number for every method.
        samples: calibration conversations per statistic.
        steps, rates: the grid of the trained rival; their product is the budget.
        methods: names of what is compared.
        kinds: the statistics that they need, each after those before it.
        further: more statistics, as (whose, kind).
    """

    world: WorldSize
    budget: int
    samples: int
    steps: tuple[int, ...]
    rates: tuple[float, ...]
    methods: tuple[str, ...] = (*(method.name for method in METHODS), *TRAININGS)
    kinds: tuple[str, ...] = ("kronecker",)
    further: tuple[tuple[str, str], ...] = ()

    def measured(self, kind: str) -> list[str]:
        """Return whose statistics of a kind the methods need: LED wants the base's diagonal ones too."""
        whole = kind == "diagonal" and "led" in self.methods
        return list(MEASURED) if whole else ["utility", "safety"]


FULL = DemoSize(FULL_WORLD, 16, 256, (60, 120, 240, 360), (1e-3, 2e-3, 4e-3, 8e-3))
HALF = replace(FULL, budget=8, rates=(2e-3, 4e-3))  # for many seeds or many methods
QUICK = DemoSize(
    QUICK_WORLD,
    8,
    128,
    (20, 40, 60, 100),
    (2e-3, 4e-3),
    (*(method.name for method in METHODS if method.name != "sst_refit"), *TRAININGS),
)


@dataclass(frozen=True)
class Trial:
    """A candidate together with the method and the settings that it stands for."""

    method: str
    settings: Settings
    candidate: Any  # a Candidate, or what else the scorer takes


@dataclass(frozen=True)
class SeedPlan:
    """The folder of one seed; all of it can be deleted and made again from the seed."""

    folder: Path
    seed: int
    size: DemoSize

    def split(self, name: str) -> Path:
        """Return the data folder of ``dev`` or ``test``."""
        return self.folder / "world" / name

    def score_file(self, split: str, name: str) -> Path:
        """Return where a candidate's scores on a split are kept."""
        return self.folder / "scores" / split / f"{name}.json"

    def experts(self) -> Experts:
        """Return what the recipes name."""
        world = self.folder / "world"
        return Experts(
            base=str(world / "base"),
            utility=str(world / "utility"),
            safety=f"{world / 'base'}+{world / 'safety_lora'}",
            statistics=str(self.folder / "fisher"),
            refits=str(self.folder / "refit"),
            aligned=str(world / "aligned") if self.size.world.drifted else "",
        )

    def unmerged(self) -> list[Trial]:
        """Return the base and both experts as they are."""
        world = self.folder / "world"
        experts = (
            Expert("base", world / "base"),
            Expert("utility", world / "utility"),
            Expert("safety", world / "base", world / "safety_lora"),
        )
        return [Trial(expert.name, {}, expert) for expert in experts]

    def merge(self, method: Method, settings: Settings) -> Trial:
        """Return a merge by `method`; its recipe is written to disk."""
        name = candidate_name(method.name, settings)
        recipe = self.folder / "recipes" / "sweep" / f"{name}.yml"
        write_recipe(recipe, method.recipe(self.experts(), settings))
        merge = Merge(name, recipe, self.folder / "work", self.lora_cache, self.seed)
        return Trial(method.name, settings, merge)

    def trainings(self) -> list[Trial]:
        """Return the trained rivals that are compared, at each of their settings."""
        grid = [{"steps": float(s), "learning_rate": r} for r in self.size.rates for s in self.size.steps]
        every = {TRAINED: grid, FEW_SHOT: few_shots(self.size.budget)}
        return [self._training(name, s) for name in every if name in self.size.methods for s in every[name]]

    def _training(self, method: str, settings: Settings) -> Trial:
        world, name = self.folder / "world", candidate_name(method, settings)
        harm, benign = (world / "calibration" / f"{part}.jsonl" for part in ("harm", "benign"))
        refusals = int(settings["rows"]) if method == FEW_SHOT else None
        training = Training(
            name,
            world / "utility",
            (harm, benign) if refusals is None else (harm,),
            self.folder / "trained" / name,
            int(settings["steps"]),
            settings["learning_rate"],
            self.seed,
            refusals,
        )
        return Trial(method, settings, training)

    @property
    def lora_cache(self) -> Path:
        """Where mergekit folds the safety adapter."""
        return self.folder / "lora-cache"


def few_shots(budget: int) -> list[Settings]:
    """Return `budget` settings of the few-shot rival: numbers of refusals, each at as many rates.

    As in Safety at One Shot (arXiv:2601.01887): ten epochs, which are ten steps.
    """
    found = []
    for place, count in enumerate(FEW):
        rates = budget // len(FEW) + (place < budget % len(FEW))
        for i in range(rates):
            rate = FEW_RATES[0] * (FEW_RATES[1] / FEW_RATES[0]) ** (i / max(1, rates - 1))
            found.append({"rows": float(count), "steps": FEW_STEPS, "learning_rate": round(rate, 5)})
    return found


def candidate_name(method: str, settings: Settings) -> str:
    """Return a file name that spells the settings.

    >>> candidate_name("sst", {"strength": 0.5, "cost": 0.3})
    'sst-strength0.5-cost0.3'
    """
    return "-".join([method, *(f"{key}{value:g}" for key, value in settings.items())])


def train(plan: SeedPlan, part: str) -> None:
    """Make the seed's data and train its ``base``, or one of its experts, unless that is done."""
    from sst_mergekit.testbeds.tiny.training import train_world

    train_world(plan.folder / "world", plan.seed, plan.size.world, progress=False, parts=(part,))


def measure(plan: SeedPlan, which: str, kind: str) -> None:
    """Measure statistics with the code of ``sst-mergekit fisher``, unless that is done.

    Args:
        plan: of the seed.
        which: a key of ``MEASURED`` or ``ELSEWHERE``.
        kind: of statistics; ``KIND@N`` is measured on N conversations.

    With the safety expert's its adapter is folded.
    """
    world = plan.folder / "world"
    experts = plan.experts()
    measured = (MEASURED | ELSEWHERE)[which]
    out = Path(experts.statistics) / f"{which}-{kind}"
    if which == "safety":
        fold_adapter(experts.safety, plan.lora_cache)
    if out.is_dir():
        return
    name, _, count = kind.partition("@")
    half = halved(world / SAFETY) if which.startswith("half") else contextlib.nullcontext(world / SAFETY)
    with half as patch:
        models = world / measured.model, patch if measured.adapter else None
        rows = [world / "calibration" / f"{data}.jsonl" for data in measured.data]
        samples, axes = int(count) if count else plan.size.samples, axes_of(experts, name)
        measure_model(models, rows, out, name, samples, plan.seed, axes, measured.labels)


def refit_patch(plan: SeedPlan, rate: float) -> None:
    """Fit the filtered patch to the utility expert, unless that is done, and fold it."""
    experts = plan.experts()
    out = Path(experts.refits) / f"{rate:g}"
    if not out.is_dir():
        fit_patch(experts, plan.folder / "world" / "calibration", out, rate, plan.seed)
    fold_adapter(f"{experts.utility}+{out}", plan.lora_cache)
