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
from sst_mergekit.testbeds.model import SYMBOLIC, Model, of_model
from sst_mergekit.testbeds.own import making
from sst_mergekit.testbeds.own.tasks import Tasks
from sst_mergekit.testbeds.prompt_scores import FORMAT as PROMPT_FORMAT
from sst_mergekit.testbeds.real import units
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.real.units import Treatment
from sst_mergekit.testbeds.scores import Scores


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

    @property
    def how(self) -> Treatment:
        """How models are treated."""
        about = self.calibration
        return Treatment(self.loading, self.batch_size, about.max_length, about.samples)

    def written(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """Return a recipe with the model's precision: computed in float32, written as the model is."""
        return {**recipe, "out_dtype": self.loading.dtype}

    def score(self, model: Model, split: str) -> Unit:
        """Return the unit that scores a model on a split."""
        how = {"loading": asdict(self.loading), "batch_size": self.batch_size}
        inputs = {**self.tasks.inputs(split, self.seed), **how, "prompt_scores": PROMPT_FORMAT}
        return of_model(self, "score", model, inputs, making.score, {}, f"{split}, ")

    def scores(self, split: str, path: Path) -> Scores:
        """Return the scores in the result of a unit of `score`."""
        return self.tasks.scores(split, scoring.read_table(path))

    def divergence(self, model: Model) -> Unit:
        """Return the unit of a model's KL from the utility expert, and perplexity, on benign rows."""
        parents = {"data": self.unit("data"), "utility": self.unit("utility")}
        return of_model(self, "divergence", model, self.how.inputs, making.diverge, parents)

    def unit(self, name: str) -> Unit:
        """Return what a recipe names (see ``Testbed``)."""
        return _unit(self, name)


@functools.lru_cache(maxsize=4096)
def _unit(bed: OwnTestbed, name: str) -> Unit:
    if name == "base":
        return units.model(bed.base, bed.known)
    if name == "utility" and bed.utility.adapter:
        return units.folded(bed)
    if name in ("safety", "utility", "utility_lora"):
        return _expert(bed, name, bed.safety if name == "safety" else bed.utility)
    if name == "data":
        inputs = {**asdict(bed.calibration), **bed.how.inputs, "seed": bed.seed}
        parents = {"utility": bed.unit("utility")} if bed.calibration.prompts else {}
        return units.made(bed, "data", name, making.make_data, inputs, parents)
    return units.following(bed, name)


def _expert(bed: OwnTestbed, name: str, expert: Expert) -> Unit:
    if expert.place is not None:
        return units.model(expert.place, expert.known)
    return units.lora(
        bed, name, [str(expert.rows)], expert.options, known=expert.known, model=bed.unit("base")
    )
