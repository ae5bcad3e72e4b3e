"""The units of a real model's seed: the model itself, its experts, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from sst_mergekit.jobs.unit import Unit, Work
from sst_mergekit.testbeds.derived import derived
from sst_mergekit.testbeds.model import Testbed
from sst_mergekit.testbeds.real import making
from sst_mergekit.testbeds.real.loading import Loading

RANK = 16  # of adapters
REFIT_SCALE = 0.1  # the tiny world's rates of the refit, whose models are thousands of times smaller


@dataclass(frozen=True)
class Treatment:
    """How a seed's models are treated.

    Attributes:
        loading: how they are loaded.
        batch_size: of statistics and refits.
        max_length: tokens of a conversation; longer ones are cut.
        samples: conversations per statistic; None for all.
        training: options of LoRA training on calibration rows, beside those of the trial.
    """

    loading: Loading
    batch_size: int
    max_length: int
    samples: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, Any]:
        """What everything that reads conversations depends on."""
        how = {"loading": asdict(self.loading), "batch_size": self.batch_size}
        return {**how, "max_length": self.max_length}


class Real(Testbed, Protocol):
    """A testbed of a real model."""

    @property
    def how(self) -> Treatment:
        """How its models are treated."""
        ...


def model(place: str, known: str) -> Unit:
    """Return the unit of a model or adapter that is there, by the fingerprint of its weights."""
    return Unit("model", place, making.fetch, {"place": place, "known": known})


def lora(bed: Real, name: str, rows: Sequence[str], options: Mapping[str, Any], **more: Any) -> Unit:
    """Return the unit of a LoRA; `more`: parents, and other inputs."""
    parents = {role: value for role, value in more.items() if isinstance(value, Unit)}
    others = {key: value for key, value in more.items() if key not in parents}
    inputs = {"rows": list(rows), "options": {"rank": RANK, **options, "seed": bed.seed}, **others}
    return made(bed, "train", name, making.train, {**inputs, "loading": asdict(bed.how.loading)}, parents)


def folded(bed: Real) -> Unit:
    """Return the unit of the utility expert whose adapter is ``utility_lora``."""
    pair = {"model": bed.unit("base"), "adapter": bed.unit("utility_lora")}
    return made(bed, "fold", "utility", making.whole, {}, pair)


def following(bed: Real, name: str) -> Unit:
    """Return the unit of a refit, a trained adapter or statistics (see ``derived``)."""
    kind, facts, parents = derived(bed, name)
    if kind == "trained":
        options = {**bed.how.training, "steps": facts["steps"], "learning_rate": facts["rate"]}
        refusals = {"refusals": facts["refusals"]} if "refusals" in facts else {}
        return lora(bed, name, facts["rows"], options, **refusals, **parents)
    if kind == "refit":
        inputs = {**bed.how.inputs, "seed": bed.seed, "rate": facts["rate"] * REFIT_SCALE, "rank": RANK}
        return made(bed, "train", name, making.refit, inputs, parents)
    site, samples = facts["site"], facts["samples"] or bed.how.samples
    rows = f"calibration/{site.data[0]}.jsonl"
    return statistics(bed, name, rows, facts["kind"], site.labels, samples, **parents)


def statistics(
    bed: Real, name: str, rows: str, kind: str, labels: str, samples: int | None, **parents: Unit
) -> Unit:
    """Return the unit of statistics."""
    inputs = {
        **bed.how.inputs,
        "seed": bed.seed,
        "rows": rows,
        "kind": kind,
        "labels": labels,
        "samples": samples,
    }
    return made(bed, "statistics", name, making.measure, inputs, parents)


def made(
    bed: Real, kind: str, name: str, work: Work, inputs: Mapping[str, Any], parents: Mapping[str, Unit]
) -> Unit:
    """Return a unit that is named by the seed too."""
    return Unit(kind, f"{name}, seed {bed.seed}", work, inputs, parents)
