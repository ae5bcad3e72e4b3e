"""The work of a study's units: functions of their inputs and of what their parents made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.hub.loading import Loading
from sst_mergekit.testbeds.hub.making import local_model, whole
from sst_mergekit.testbeds.scoring import Inputs, Parents
from sst_mergekit.testbeds.tiny.making import axes_of, coordinates, experts_of, refitted

__all__ = ["coordinates", "whole"]  # works of the testbed's units beside those below
RANK = 16  # of adapters


def fetch(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Link the folder of a model or an adapter, so that recipes can name it."""
    out.symlink_to(local_model(inputs["place"], adapters=True))


def train(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Train a LoRA expert over ``model`` on the user's rows."""
    from sst_mergekit.statistics.rows import Source
    from sst_mergekit.training.lora import train_lora
    from sst_mergekit.training.lora_options import Options

    options = Options(**{"rank": RANK, **inputs["options"]}, progress=False)
    train_lora(_spec(inputs, parents["model"]), Source(inputs["rows"]), out, options)


def make_data(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Write ``calibration/harm.jsonl`` and ``benign.jsonl``, and ``held_out/benign.jsonl``.

    Prompts without an answer are answered by the utility expert. Which benign prompts are held out, their
    hashes say; copies stay together.
    """
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.statistics.rows import Source, prompt_hashes, read_conversations

    quiet_libraries()
    seed = inputs["seed"]
    harm = [row for file in inputs["harm"] for row in read_conversations(Source(file), None, seed)]
    benign = [row for file in inputs["benign"] for row in read_conversations(Source(file), None, seed)]
    if inputs["prompts"]:
        benign += _answered(inputs, parents["utility"])

    def place(row: Any) -> str:
        return hashlib.sha256(f"{seed} {prompt_hashes([row])[0]}".encode()).hexdigest()

    ordered = sorted(benign, key=place)
    aside = {prompt_hashes([row])[0] for row in ordered[: inputs["held_out"]]}
    sides: dict[bool, list[Any]] = {True: [], False: []}
    for row in benign:
        sides[prompt_hashes([row])[0] in aside].append(row)
    sets = {"calibration/harm": harm, "calibration/benign": sides[False], "held_out/benign": sides[True]}
    for name, rows in sets.items():
        _write(out / f"{name}.jsonl", rows)


def _answered(inputs: Inputs, utility: Path) -> list[Any]:
    """Return the prompts with the utility expert's answers."""
    from sst_mergekit.statistics.loading import load_model, load_tokenizer
    from sst_mergekit.statistics.responding import respond
    from sst_mergekit.statistics.rows import Source, read_conversations

    spec = _spec(inputs, utility)
    tokenizer = load_tokenizer(spec)
    sources = [Source(file) for file in inputs["prompts"]]
    rows = [row for each in sources for row in read_conversations(each, None, 0, unanswered=True)]
    template, tokens, size = bool(tokenizer.chat_template), inputs["respond"], inputs["batch_size"]
    return respond(load_model(spec), tokenizer, rows, template, tokens, size, progress=False)


def _write(path: Path, rows: Iterable[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bodies = ({"messages": [{"role": role, "content": text} for role, text in row.messages]} for row in rows)
    write_text(path, "".join(json.dumps(body, ensure_ascii=False) + "\n" for body in bodies))


def measure(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Measure statistics of ``model`` with or without ``adapter`` on the calibration rows."""
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.statistics.collect import Options
    from sst_mergekit.statistics.estimate import estimate
    from sst_mergekit.statistics.rows import Source

    quiet_libraries()
    kind, spec = inputs["kind"], _spec(inputs, parents["model"], parents.get("adapter"))
    options = Options(
        kind,
        labels=inputs["labels"],
        batch_size=inputs["batch_size"],
        seed=inputs["seed"],
        device=spec.device,
        progress=False,
    )
    rows = Source(str(parents["data"] / "calibration" / f"{inputs['rows']}.jsonl"))
    axes = axes_of(experts_of(parents), kind)
    samples, longest = inputs["samples"], inputs["max_length"]
    estimate(spec, rows, out, options, samples=samples, max_length=longest, axes=axes)


def train_on_calibration(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Train a LoRA over the utility expert on calibration rows, or on the first so many refusals alone."""
    from sst_mergekit.statistics.rows import Source
    from sst_mergekit.training.lora import train_lora
    from sst_mergekit.training.lora_options import Options

    folder, refusals = parents["data"] / "calibration", inputs["refusals"]
    names = ("harm", "benign") if refusals is None else ("harm",)
    lines = [line for name in names for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]
    if refusals is not None:
        lines = [line for line in lines if _refuses(json.loads(line))][:refusals]
    rows = out.parent / "rows.jsonl"
    write_text(rows, "".join(f"{line}\n" for line in lines))
    try:
        options = Options(**{"rank": RANK, **inputs["options"]}, progress=False)
        train_lora(_spec(inputs, parents["model"]), Source(str(rows)), out, options)
    finally:
        rows.unlink()


def _refuses(row: Mapping[str, Any]) -> bool:
    from sst_mergekit.evaluation.refusal import is_refusal

    return is_refusal(row["messages"][-1]["content"])


def refit(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Fit the filtered safety patch to the utility expert."""
    from dataclasses import replace

    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.training.refit import refit as fit
    from sst_mergekit.training.refit_settings import Options

    quiet_libraries()
    start, data = refitted(parents, RANK)
    options = Options(
        learning_rate=inputs["rate"], batch_size=inputs["batch_size"], seed=inputs["seed"], progress=False
    )
    data = replace(data, max_length=inputs["max_length"])
    fit(_spec(inputs, parents["utility"]), start, data, out, options)


def score(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Write lm-eval's table of the model that `inputs` name, and on the test split its scores by prompt."""
    from sst_mergekit.testbeds.prompt_scores import write_prompt_scores

    out.mkdir()
    with scoring.checkpoint(inputs, parents, out) as (model, adapter):
        results = _results(model, adapter, inputs)
    scoring.write_table(results, out)
    if inputs["split"] == "test":
        write_prompt_scores(results, out)


def _results(model: Path, adapter: Path | None, inputs: Inputs) -> dict[str, Any]:
    from lm_eval.models.huggingface import HFLM

    from sst_mergekit.evaluation.harness import score as evaluate
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.testbeds.own.tasks import chosen, loaded

    quiet_libraries()
    loading = Loading(**inputs["loading"])
    place = {"parallelize": True} if loading.spreads else {"device": loading.device}
    make: Any = HFLM  # lm-eval's registry hides its parameters
    lm = make(
        pretrained=str(model),
        peft=str(adapter) if adapter else None,
        dtype=loading.dtype,
        batch_size=inputs["batch_size"],
        **place,
    )
    tasks = loaded(inputs)
    template = bool(lm.tokenizer.chat_template)
    documents = chosen(inputs, tasks)
    return evaluate(lm, tasks, confirm_run_unsafe_code=True, apply_chat_template=template, samples=documents)


def diverge(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Hold a model against the utility expert on held-out benign rows (see ``write_divergence``)."""
    from sst_mergekit.merging.recipe import quiet_libraries
    from sst_mergekit.testbeds.divergence import write_divergence

    quiet_libraries()
    out.mkdir()
    rows = parents["data"] / "held_out" / "benign.jsonl"
    with scoring.checkpoint(inputs, parents, out) as (model, adapter):
        utility, other = _spec(inputs, parents["utility"]), _spec(inputs, model, adapter)
        write_divergence(utility, other, rows, out, inputs["batch_size"], inputs["max_length"])


def _spec(inputs: Inputs, model: Path, adapter: Path | None = None) -> Any:
    return Loading(**inputs["loading"]).spec(str(model), str(adapter) if adapter else None)
