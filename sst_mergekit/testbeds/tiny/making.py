"""The work of the tiny world's units: functions of their inputs and of what their parents made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sst_mergekit.experiments.methods import Experts

Inputs = Mapping[str, Any]
Parents = Mapping[str, Path]


def make_data(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Write the world of a seed: training, calibration, development and test."""
    from sst_mergekit.testbeds.tiny.world import WorldSize, build_data

    build_data(out, inputs["seed"], WorldSize(**inputs["world"]))


def train_part(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Train the base, or the utility or safety expert on it."""
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.testbeds.tiny import training
    from sst_mergekit.testbeds.tiny.world import WorldSize

    quiet_libraries()
    rows, seed, size = parents["data"] / "train", inputs["seed"], WorldSize(**inputs["world"])
    if inputs["part"] == "base":
        training.train_base(rows, out, seed, size)
    elif inputs["part"] == "utility":
        training.train_utility(rows, parents["base"], out, seed, size)
    else:
        training.train_safety(rows, parents["base"], out, seed, size)


def train_adapter(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Train a LoRA over the parent ``model`` on all rows of the files that `inputs` name."""
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.testbeds.tiny.training import train_lora

    quiet_libraries()
    texts = [(parents["data"] / name).read_text(encoding="utf-8") for name in inputs["rows"]]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    settings = {key: inputs[key] for key in ("steps", "lr", "rank", "seed")}
    train_lora(parents["model"], rows, out, **settings)


def measure(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Measure statistics of ``model`` with or without ``adapter`` on files of ``data``."""
    from sst_mergekit.testbeds.tiny.preparing import axes_of, measure_model

    model = parents["model"], parents.get("adapter")
    rows, kind = [parents["data"] / name for name in inputs["rows"]], inputs["kind"]
    axes = axes_of(experts_of(parents), kind) if kind in ("ekfac", "subspace") else None
    measure_model(model, rows, out, kind, inputs["samples"], inputs["seed"], axes, inputs["labels"])


def refit(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Fit the filtered safety patch to the utility expert."""
    from sst_mergekit.testbeds.tiny.preparing import fit_patch

    fit_patch(experts_of(parents), parents["data"] / "calibration", out, inputs["rate"], inputs["seed"])


def fold(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Fold ``adapter`` into ``model`` as mergekit's cache wants it."""
    from sst_mergekit.merging.recipe import fold_adapter

    fold_adapter(f"{parents['model']}+{parents['adapter']}", out)


@dataclass(frozen=True)
class _Made(Experts):
    """Experts whose statistics lie where the store put them."""

    places: Parents = field(default_factory=dict)

    def fisher(self, kind: str) -> tuple[str, str]:
        return str(self.places[f"utility-{kind}"]), str(self.places[f"safety-{kind}"])


def coordinates(kind: str) -> tuple[str, ...]:
    """Return the units that a kind of statistics is measured in the coordinates of."""
    return {"ekfac": ("utility-kronecker", "safety-kronecker"), "subspace": ("base", "safety")}.get(kind, ())


def experts_of(parents: Parents) -> Experts:
    """Return what the demo's functions know experts by, at the places of `parents`."""
    base, utility, safety = (str(parents.get(name, "")) for name in ("base", "utility", "safety"))
    return _Made(base, utility, f"{base}+{safety}", "", "", places=parents)
