"""The work of a study's units: functions of their inputs and of what their parents made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.testbeds import divergence, scoring
from sst_mergekit.testbeds.harness import language_model
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.real.making import spec_of
from sst_mergekit.testbeds.scoring import Inputs, Parents


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

    spec = spec_of(inputs, utility)
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
    """Score a model on the documents of a split (see ``scoring.score``)."""
    scoring.score(inputs, parents, out, _results)


def _results(model: Path, adapter: Path | None, _data: Path, inputs: Inputs) -> dict[str, Any]:
    from sst_mergekit.evaluation.harness import score as evaluate
    from sst_mergekit.testbeds.own.tasks import chosen, loaded

    batch = {"batch_size": inputs["batch_size"]}
    lm, tasks = language_model(model, adapter, Loading(**inputs["loading"]), **batch), loaded(inputs)
    template, documents = bool(lm.tokenizer.chat_template), chosen(inputs, tasks)
    return evaluate(lm, tasks, confirm_run_unsafe_code=True, apply_chat_template=template, samples=documents)


def diverge(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Hold a model against the utility expert (see ``divergence.diverge``)."""
    spec, sizes = Loading(**inputs["loading"]).spec, (inputs["batch_size"], inputs["max_length"])
    divergence.diverge(inputs, parents, out, spec, *sizes)
