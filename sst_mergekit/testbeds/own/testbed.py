"""One seed of the user's own models as units of work."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sst_mergekit.baselines.shared.method import Experts
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.hub import making as hub
from sst_mergekit.testbeds.hub.loading import Loading
from sst_mergekit.testbeds.hub.testbed import REFIT_SCALE
from sst_mergekit.testbeds.measured import parted
from sst_mergekit.testbeds.model import SYMBOLIC, Model, of_model
from sst_mergekit.testbeds.own import making
from sst_mergekit.testbeds.own.tasks import Tasks
from sst_mergekit.testbeds.prompt_scores import FORMAT as PROMPT_FORMAT
from sst_mergekit.testbeds.scores import Scores
from sst_mergekit.testbeds.tiny.making import coordinates
from sst_mergekit.testbeds.tiny.testbed import CALIBRATION

RANK = 16  # of adapters


@dataclass(frozen=True)
class Expert:
    """An expert: what is there, or what is trained.

    Attributes:
        place: folder or Hub id of a full model or of an adapter on the base; None where it is trained.
        known: the fingerprint of its weights, or the hash of the rows that it is trained on.
        adapter: whether it is an adapter.
        rows: the file that it is trained on.
        options: of ``train-lora``.
    """

    place: str | None
    known: str
    adapter: bool
    rows: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Calibration:
    """Files of conversations; with the hash of each.

    Attributes:
        harm: refusals of harmful requests.
        benign: conversations of ordinary use.
        prompts: harmless prompts without an answer: the utility expert answers them.
        hashes: SHA-256 by file.
        samples: conversations per statistic.
        held_out: benign rows that are kept for the divergence.
        respond: tokens of an answer at most.
        max_length: tokens of a conversation; longer ones are cut.
    """

    harm: tuple[str, ...]
    benign: tuple[str, ...]
    prompts: tuple[str, ...]
    hashes: Mapping[str, str]
    samples: int = 256
    held_out: int = 64
    respond: int = 64
    max_length: int = 512


@dataclass(frozen=True, eq=False)
class OwnTestbed:
    """One seed (a ``Testbed``).

    Attributes:
        seed: of trainings, splits, samples and everything random.
        base, known: the base model, and the fingerprint of its weights.
        utility, safety: the experts.
        calibration: data.
        tasks: what is asked.
        loading: how models are loaded.
        batch_size: of scoring and of statistics.
    """

    seed: int
    base: str
    known: str
    utility: Expert
    safety: Expert
    calibration: Calibration
    tasks: Tasks
    loading: Loading
    batch_size: int = 16

    @property
    def experts(self) -> Experts:
        """What recipes name."""
        return SYMBOLIC if self.safety.adapter else replace(SYMBOLIC, safety="unit:/safety")

    def written(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe with the model's precision: computed in float32, written as the model is."""
        return {**recipe, "out_dtype": self.loading.dtype}

    def score(self, model: Model, split: str) -> Unit:
        """Return the unit that scores a model on a split."""
        inputs = {**self.tasks.inputs(split, self.seed), **self._how, "prompt_scores": PROMPT_FORMAT}
        return of_model(self, "score", model, inputs, making.score, {}, f"{split}, ")

    def scores(self, split: str, path: Path) -> Scores:
        """Return the scores in the result of a unit of `score`."""
        return self.tasks.scores(split, scoring.read_table(path))

    def divergence(self, model: Model) -> Unit:
        """Return the unit of a model's KL from the utility expert, and perplexity, on benign rows."""
        parents = {"data": self.unit("data"), "utility": self.unit("utility")}
        inputs = {**self._how, "max_length": self.calibration.max_length}
        return of_model(self, "divergence", model, inputs, making.diverge, parents)

    def unit(self, name: str) -> Unit:
        """Return what a recipe names (see ``Testbed``)."""
        return _unit(self, name)

    @property
    def _how(self) -> dict[str, Any]:
        return {"loading": asdict(self.loading), "batch_size": self.batch_size}

    def _unit(self, kind: str, name: str, work: Any, inputs: Mapping[str, Any], parents: Any = None) -> Unit:
        return Unit(kind, f"{name}, seed {self.seed}", work, dict(inputs), parents or {})

    def _expert(self, name: str, expert: Expert) -> Unit:
        if expert.place is not None:
            return Unit("model", expert.place, making.fetch, {"place": expert.place, "known": expert.known})
        inputs = {"rows": [expert.rows], "known": expert.known, "loading": asdict(self.loading)}
        inputs |= {"options": {"rank": RANK, **expert.options, "seed": self.seed}}
        return self._unit("train", name, hub.train, inputs, {"model": self.unit("base")})

    def _made(self, name: str) -> Unit:
        if name == "base":
            return Unit("model", self.base, making.fetch, {"place": self.base, "known": self.known})
        if name in ("safety", "utility_lora"):
            return self._expert(name, self.safety if name == "safety" else self.utility)
        if name == "utility":
            if not self.utility.adapter:
                return self._expert(name, self.utility)
            pair = {"model": self.unit("base"), "adapter": self.unit("utility_lora")}
            return self._unit("fold", name, hub.whole, {}, pair)
        if name == "data":
            inputs = {**asdict(self.calibration), **self._how, "seed": self.seed}
            parents = {"utility": self.unit("utility")} if self.calibration.prompts else {}
            return self._unit("data", name, making.make_data, inputs, parents)
        kind, *numbers = name.split("/")
        if kind == "refit":
            return self._refit(name, float(numbers[0]))
        if kind in ("trained", "few_shot"):
            *rows, steps, rate = numbers
            refusals = int(rows[0]) if rows else None
            return self._trained(name, int(steps), float(rate), refusals)
        return self._statistics(name)

    def _refit(self, name: str, rate: float) -> Unit:
        needs = ("data", "base", "utility", "safety", "utility-kronecker", "safety-kronecker")
        parents = {need: self.unit(need) for need in needs}
        inputs = {**self._how, "rate": rate * REFIT_SCALE, "seed": self.seed}
        inputs |= {"max_length": self.calibration.max_length, "rank": RANK}
        return self._unit("train", name, hub.refit, inputs, parents)

    def _trained(self, name: str, steps: int, rate: float, refusals: int | None) -> Unit:
        options = {"steps": steps, "learning_rate": rate, "rank": RANK, "seed": self.seed}
        rows = CALIBRATION if refusals is None else CALIBRATION[:1]
        inputs = {"rows": rows, "options": options, "refusals": refusals, "loading": asdict(self.loading)}
        parents = {"data": self.unit("data"), "model": self.unit("utility")}
        return self._unit("train", name, hub.train, inputs, parents)

    def _statistics(self, name: str) -> Unit:
        measured, kind, samples = parted(name)
        model, adapter = measured.model, measured.adapter
        if adapter and not self.safety.adapter:
            model, adapter = "safety", None
        parents = {"data": self.unit("data"), "model": self.unit(model)}
        if adapter:
            parents["adapter"] = self.unit(adapter)
        parents |= {need: self.unit(need) for need in coordinates(kind)}
        about = self.calibration
        inputs = {
            "rows": f"calibration/{measured.data[0]}.jsonl",
            **{"kind": kind, "labels": measured.labels, "samples": samples or about.samples},
            **{"max_length": about.max_length, "seed": self.seed},
        }
        return self._unit("statistics", name, hub.measure, {**inputs, **self._how}, parents)


@functools.lru_cache(maxsize=4096)
def _unit(bed: OwnTestbed, name: str) -> Unit:
    return bed._made(name)
