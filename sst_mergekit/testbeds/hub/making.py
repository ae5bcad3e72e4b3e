"""The work of a Hub model's own units: its data, and its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.harness import language_model
from sst_mergekit.testbeds.real.loading import Loading
from sst_mergekit.testbeds.scoring import Inputs, Parents


def prepare(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Split the downloaded data."""
    from sst_mergekit.testbeds.hub.prepare import prepare as split_data
    from sst_mergekit.testbeds.hub.splits import Wanted
    from sst_mergekit.testbeds.options import Sizes

    wanted = Wanted(Sizes(**inputs["sizes"], batch_sizes={}), **inputs["wanted"])
    split_data(Path(inputs["data"]), out, wanted)


def score(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Score a model on a split (see ``scoring.score``)."""
    scoring.score(inputs, parents, out, results_of)


def score_tasks(inputs: Inputs, parents: Parents, out: Path) -> None:
    """Score a model on many small tasks (see ``shares.score_tasks``)."""
    from sst_mergekit.testbeds.shares import score_tasks as shares_of

    shares_of(inputs, parents, out, results_of)


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
    from sst_mergekit.evaluation.harness import load_tasks, score

    lm = language_model(model, adapter, Loading(**inputs["loading"]))
    metadata = {} if inputs["samples"] is None else {"samples": inputs["samples"]}
    found: dict[str, Any] = {}
    for task in inputs["tasks"]:
        lm.batch_size_per_gpu = inputs["batch_sizes"][task]
        shown = {} if inputs["shots"] is None else {task: {"num_fewshot": inputs["shots"]}}
        tasks = load_tasks(task, data_dir=data_dir, metadata=metadata, overrides=shown)
        template = bool(lm.tokenizer.chat_template)
        results = score(lm, tasks, confirm_run_unsafe_code=True, apply_chat_template=template)
        for key, value in results.items():
            found[key] = {**found.get(key, {}), **value} if isinstance(value, dict) else value
    return found
