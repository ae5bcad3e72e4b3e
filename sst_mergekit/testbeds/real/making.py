"""The work of real models' units: functions of their inputs and of what their parents made."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.files import expanded
from sst_mergekit.statistics.loading import ModelSpec
from sst_mergekit.testbeds.derived import CONFIG, axes_of, refitted
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.scoring import Inputs, Parents

WEIGHTS = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja")  # what is downloaded of a model


def local_model(full_name: str, adapters: bool = False) -> Path:
    """Return the folder of a model: a local path, or a Hub id (``id@revision``), which is downloaded.

    Args:
        full_name: of the model.
        adapters: whether it may be an adapter.

    Raises:
        SstError: there is no such model, it cannot be reached, or it has no safetensors.
    """
    from sst_mergekit.hub import download
    from sst_mergekit.statistics.loading import split_revision

    path = expanded(full_name)
    if not path.is_dir():
        path = download(*split_revision(full_name), WEIGHTS, full_name, SstError)
    adapter = adapters and (path / CONFIG).is_file()
    for pattern in ("adapter_model.safetensors",) if adapter else ("config.json", "*.safetensors"):
        if not next(path.glob(pattern), None):
            raise SstError(f"{full_name}: no {pattern} in {path}; give a checkpoint in safetensors")
    return path.resolve()


def weights_of(place: str, adapters: bool = False) -> str:
    """Return what the weights of a model are known by (see ``local_model``).

    Raises:
        SstError: there is no such model.
    """
    from sst_mergekit.statistics.fingerprint import weights_fingerprint

    found = weights_fingerprint(local_model(place, adapters))
    if found is None:
        raise SstError(f"{place}: no safetensors; give a checkpoint in safetensors")
    return found


def fetch(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Link the folder of a model or an adapter, so that recipes can name it."""
    out.symlink_to(local_model(inputs["place"], adapters=True))


def train(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Train a LoRA over ``model`` on files: of ``data``, where there is one, else of the user.

    With ``refusals`` it is on the first so many refusals in them alone.
    """
    from sst_mergekit.statistics.rows import Source
    from sst_mergekit.training.lora import Options, train_lora

    folder = parents.get("data", Path())
    lines = [line for name in inputs["rows"] for line in (folder / name).read_text("utf-8").splitlines()]
    if inputs.get("refusals") is not None:
        lines = [line for line in lines if _refuses(json.loads(line))][: inputs["refusals"]]
    with tempfile.TemporaryDirectory() as temporary:
        rows = Path(temporary) / "rows.jsonl"
        rows.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        options = Options(**inputs["options"], progress=False)
        train_lora(spec_of(inputs, parents["model"]), Source(str(rows)), out, options)


def _refuses(row: Mapping[str, Any]) -> bool:
    from sst_mergekit.evaluation.refusal import is_refusal

    return is_refusal(row["messages"][-1]["content"] if "messages" in row else row["response"])


def whole(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Add ``adapter`` to ``model``: a checkpoint in float32, for 16 bits lose small differences."""
    from sst_mergekit.statistics.loading import ModelSpec, load_model, load_tokenizer

    spec = ModelSpec(str(parents["model"]), str(parents["adapter"]))
    load_model(spec).merge_and_unload().save_pretrained(out, safe_serialization=True)
    load_tokenizer(spec).save_pretrained(out)


def measure(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Measure statistics of ``model`` with or without ``adapter`` on a file of ``data``."""
    from sst_mergekit.statistics.collect import Options
    from sst_mergekit.statistics.estimate import estimate
    from sst_mergekit.statistics.rows import Source

    kind, spec = inputs["kind"], spec_of(inputs, parents["model"], parents.get("adapter"))
    options = Options(
        kind,
        labels=inputs["labels"],
        batch_size=inputs["batch_size"],
        seed=inputs["seed"],
        device=spec.device,
        progress=False,
    )
    axes, rows = axes_of(parents, kind), Source(str(parents["data"] / inputs["rows"]))
    samples, longest = inputs["samples"], inputs["max_length"]
    estimate(spec, rows, out, options, samples=samples, max_length=longest, axes=axes)


def refit(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Fit the filtered safety patch to the utility expert."""
    from sst_mergekit.training.refit import refit as fit
    from sst_mergekit.training.refit_settings import Options

    options = Options(
        learning_rate=inputs["rate"], batch_size=inputs["batch_size"], seed=inputs["seed"], progress=False
    )
    start, data = refitted(parents, inputs["rank"])
    data = replace(data, max_length=inputs["max_length"])
    fit(spec_of(inputs, parents["utility"]), start, data, out, options)


def spec_of(inputs: Inputs, model: Path, adapter: Path | None = None) -> ModelSpec:
    """Return what loads a model as the inputs say."""
    return Loading(**inputs["loading"]).spec(str(model), str(adapter) if adapter else None)
