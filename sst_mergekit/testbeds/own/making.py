"""The work of a study's units: functions of their inputs and of what their parents made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.hub.loading import Loading
from sst_mergekit.testbeds.hub.making import local_model
from sst_mergekit.testbeds.scoring import Inputs, Parents


def fetch(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Link the folder of a model or an adapter, so that recipes can name it."""
    out.symlink_to(local_model(inputs["place"], adapters=True))


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
