"""The work of a Hub model's units: functions of their inputs and of what their parents made."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.files import expanded
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.hub.loading import Loading
from sst_mergekit.testbeds.scoring import Inputs, Parents

ADAPTER = "adapter_config.json"
MAX_LENGTH = 1024  # tokens of a conversation, where the inputs do not say
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
    adapter = adapters and (path / ADAPTER).is_file()
    for pattern in ("adapter_model.safetensors",) if adapter else ("config.json", "*.safetensors"):
        if not next(path.glob(pattern), None):
            raise SstError(f"{full_name}: no {pattern} in {path}; give a checkpoint in safetensors")
    return path.resolve()


def fetch(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Link the model's folder, so that recipes can name it."""
    out.symlink_to(local_model(inputs["full_name"]))


def prepare(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Split the downloaded data."""
    from sst_mergekit.testbeds.hub.prepare import prepare as split_data
    from sst_mergekit.testbeds.hub.splits import Wanted
    from sst_mergekit.testbeds.options import Sizes

    wanted = Wanted(Sizes(**inputs["sizes"], batch_sizes={}), **inputs["wanted"])
    split_data(Path(inputs["data"]), out, wanted)


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
        train_lora(_spec(inputs, parents["model"]), Source(str(rows)), out, options)


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
    from sst_mergekit.testbeds.tiny.making import axes_of, experts_of

    kind, spec = inputs["kind"], _spec(inputs, parents["model"], parents.get("adapter"))
    options = Options(
        kind,
        labels=inputs["labels"],
        batch_size=inputs["batch_size"],
        seed=inputs["seed"],
        device=spec.device,
        progress=False,
    )
    axes, rows = axes_of(experts_of(parents), kind), Source(str(parents["data"] / inputs["rows"]))
    samples, longest = inputs.get("samples"), inputs.get("max_length", MAX_LENGTH)
    estimate(spec, rows, out, options, samples=samples, max_length=longest, axes=axes)


def refit(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Fit the filtered safety patch to the utility expert."""
    from sst_mergekit.testbeds.tiny.making import refitted
    from sst_mergekit.training.refit import refit as fit
    from sst_mergekit.training.refit_settings import Options

    options = Options(
        learning_rate=inputs["rate"], batch_size=inputs["batch_size"], seed=inputs["seed"], progress=False
    )
    start, data = refitted(parents, inputs["rank"])
    data = replace(data, max_length=inputs.get("max_length", MAX_LENGTH))
    fit(_spec(inputs, parents["utility"]), start, data, out, options)


def score(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Score a model on a split (see ``scoring.score``)."""
    scoring.score(inputs, parents, out, results_of)


def score_tasks(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Score a model on many small tasks (see ``shares.score_tasks``)."""
    from sst_mergekit.testbeds.shares import score_tasks as shares_of

    shares_of(inputs, parents, out, results_of)


def _spec(inputs: Inputs, model: Path, adapter: Path | None = None) -> Any:
    return Loading(**inputs["loading"]).spec(str(model), str(adapter) if adapter else None)


def results_of(model: Path, adapter: Path | None, data_dir: Path, inputs: Inputs) -> dict[str, Any]:
    """Return lm-eval's results of a checkpoint on tasks, with their samples.

    Args:
        model, adapter: a checkpoint, and an adapter on it.
        data_dir: the folder of one split.
        inputs: ``tasks``, ``batch_sizes`` by task, ``samples`` (prompts a task at most, None for all) and
            ``loading``; ``shots``, examples before MMLU's questions (None: the task's own number).

    The chat template is used where the tokenizer has one, as in training. Programs run in the sandbox; the
    user confirmed it.
    """
    from lm_eval.models.huggingface import HFLM

    from sst_mergekit.evaluation.harness import load_tasks, score
    from sst_mergekit.merging.recipe import quiet_libraries

    quiet_libraries()
    loading, sizes = Loading(**inputs["loading"]), inputs["batch_sizes"]
    place = {"parallelize": True} if loading.spreads else {"device": loading.device}
    more = {"attn_implementation": loading.attention} if loading.attention else {}
    make: Any = HFLM  # lm-eval's registry hides its parameters
    lm = make(
        pretrained=str(model), peft=str(adapter) if adapter else None, dtype=loading.dtype, **place, **more
    )
    metadata = {} if inputs["samples"] is None else {"samples": inputs["samples"]}
    found: dict[str, Any] = {}
    for task in inputs["tasks"]:
        lm.batch_size_per_gpu = sizes[task]
        shown = {} if inputs["shots"] is None else {task: {"num_fewshot": inputs["shots"]}}
        tasks = load_tasks(task, data_dir=data_dir, metadata=metadata, overrides=shown)
        template = bool(lm.tokenizer.chat_template)
        results = score(lm, tasks, confirm_run_unsafe_code=True, apply_chat_template=template)
        for key, value in results.items():
            found[key] = {**found.get(key, {}), **value} if isinstance(value, dict) else value
    return found
