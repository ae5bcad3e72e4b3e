"""The work of a tiny world's units: functions of their inputs and of what their parents made."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sst_mergekit.files import write_text
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.derived import CONFIG, axes_of, refitted
from sst_mergekit.testbeds.scoring import Inputs, Parents

RESPONSE_TOKENS = 24
DIVERGENCE_BATCH = 64
# what is trained, and from what; the utility expert of a drifted world comes from the aligned model
PARTS = {
    "base": ("data",),
    "utility": ("data", "base"),
    "safety": ("data", "base"),
    "aligned": ("base", "safety"),
}


def make_data(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Write the world of a seed: training, calibration, development and test."""
    from sst_mergekit.testbeds.tiny.world import WorldSize, build_data

    build_data(out, inputs["seed"], WorldSize(**inputs["world"]))


def train_part(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Make the base, the utility or safety expert on it, or the aligned model of a drifted world."""
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.testbeds.tiny import training
    from sst_mergekit.testbeds.tiny.world import WorldSize

    quiet_libraries()
    part, seed, size = inputs["part"], inputs["seed"], WorldSize(**inputs["world"])
    if part == "aligned":
        training.whole(parents["base"], parents["safety"], out)
        return
    rows = parents["data"] / "train"
    if part == "base":
        training.train_base(rows, out, seed, size)
    elif part == "utility":
        training.train_utility(rows, parents["aligned" if size.drifted else "base"], out, seed, size)
    else:
        training.train_safety(rows, parents["base"], out, seed, size)


def train_adapter(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Train a LoRA over the parent ``model`` on the files that `inputs` name.

    With ``refusals`` it is on the first so many refusals in them alone.
    """
    from sst_mergekit.evaluation.refusal import is_refusal
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.testbeds.tiny.training import train_lora

    quiet_libraries()
    texts = [(parents["data"] / name).read_text(encoding="utf-8") for name in inputs["rows"]]
    rows = [json.loads(line) for text in texts for line in text.splitlines()]
    if "refusals" in inputs:
        rows = [row for row in rows if is_refusal(row["response"])][: inputs["refusals"]]
    settings = {key: inputs[key] for key in ("steps", "lr", "rank", "seed")}
    train_lora(parents["model"], rows, out, **settings)


def measure(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Measure statistics of ``model`` with or without ``adapter`` on files of ``data``.

    Files have equal shares of the samples; empty ones have none. The model answers what has no answer.
    """
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.statistics.collect import Options
    from sst_mergekit.statistics.estimate import estimate
    from sst_mergekit.statistics.loading import ModelSpec
    from sst_mergekit.statistics.rows import Source

    quiet_libraries()
    kind, files = inputs["kind"], [parents["data"] / name for name in inputs["rows"]]
    with contextlib.ExitStack() as stack:
        adapter = parents.get("adapter")
        if adapter and inputs.get("halved"):
            adapter = stack.enter_context(halved(adapter))
        spec = ModelSpec(str(parents["model"]), str(adapter) if adapter else None)
        options = Options(kind, labels=inputs["labels"], batch_size=32, seed=inputs["seed"], progress=False)
        sources = [Source(str(path), weight=1.0) for path in files if path.stat().st_size]
        axes = axes_of(parents, kind)
        samples = inputs["samples"]
        estimate(spec, sources, out, options, samples=samples, axes=axes, respond=RESPONSE_TOKENS)


def refit(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Fit the filtered safety patch to the utility expert with the code of ``sst-mergekit refit``."""
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.statistics.loading import ModelSpec
    from sst_mergekit.testbeds.tiny.training import SAFETY_RANK
    from sst_mergekit.training.refit import refit as fit
    from sst_mergekit.training.refit_fitting import Options

    quiet_libraries()
    options = Options(learning_rate=inputs["rate"], seed=inputs["seed"], progress=False)
    fit(ModelSpec(str(parents["utility"])), *refitted(parents, SAFETY_RANK), out, options)


def score(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Score a model on a split (see ``scoring.score``)."""
    from sst_mergekit.testbeds.tiny.harness import results_of

    scoring.score(inputs, parents, out, results_of)


def score_tasks(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Score a model on many small tasks (see ``shares.score_tasks``)."""
    from sst_mergekit.testbeds.shares import score_tasks as shares_of
    from sst_mergekit.testbeds.tiny.harness import results_of

    shares_of(inputs, parents, out, results_of)


def diverge(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Hold a model against the utility expert (see ``divergence.diverge``)."""
    from sst_mergekit.statistics.settings import ModelSpec
    from sst_mergekit.testbeds import divergence

    divergence.diverge(inputs, parents, out, ModelSpec, DIVERGENCE_BATCH, 256)


@contextlib.contextmanager
def halved(adapter: Path) -> Iterator[Path]:
    """Give the adapter with half its scale, for the time of the block."""
    config = json.loads((adapter / CONFIG).read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as temporary:
        half = Path(temporary) / adapter.name
        shutil.copytree(adapter, half)
        write_text(half / CONFIG, json.dumps(config | {"lora_alpha": config["lora_alpha"] / 2}))
        yield half
