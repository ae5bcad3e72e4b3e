"""The figures of lm-eval's result files, each with standard error, 95 % interval and number of prompts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sst_mergekit.comparison.locating import Found, Place, newest_results
from sst_mergekit.errors import EvaluationError
from sst_mergekit.metrics.estimate import Estimate, over_prompts
from sst_mergekit.sharing.tasks import TASKS


@dataclass(frozen=True)
class Figure:
    """One metric of one task.

    Attributes:
        dataset: id on the Hub, or the task's name where lm-eval does not say.
        estimate: the value with its interval, lm-eval's standard error if it has one, and the prompts scored.
        local_data: the data came from a file on the scoring machine, so that they may be others.
        day: when the run ended (UTC).
        setup: how the model was asked, for a footnote.
    """

    task: str
    metric: str
    dataset: str
    estimate: Estimate
    higher_is_better: bool | None
    version: str
    shots: int | None
    local_data: bool
    day: str
    setup: str
    model: str


def figures(paths: Sequence[Path]) -> list[Figure]:
    """Return the figures of some folders of ``lm_eval --output_path`` or result files, in their order.

    Raises:
        EvaluationError: nothing is there, a file is none of lm-eval's, or two of them hold the same task.
    """
    made: list[Figure] = []
    seen: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise EvaluationError(
                f"{path}: no such results; give a folder that `lm_eval --output_path` wrote"
            )
        for task, found in newest_results(Place(path.name, path)).items():
            if task in seen:
                raise EvaluationError(f"{task}: in {seen[task]} and in {path}; give one of them as --results")
            seen[task] = path
            made += _of_task(task, found)
    return made


def _of_task(task: str, found: Found) -> Iterator[Figure]:
    results = found.results
    row = results.get("results", {}).get(task)
    if row is None:
        raise EvaluationError(f"{found.file}: has a configuration but no result of {task}; run lm_eval again")
    known = TASKS.get(task)
    config = results["configs"][task]
    samples = results.get("n-samples", {}).get(task, {}).get("effective")
    for name in _metrics(row):
        if known and name not in known.metrics:
            continue
        metric, _, filtered = next(key for key in row if _name(key) == name).partition(",")
        stderr = _number(row.get(f"{metric}_stderr,{filtered}"))
        yield Figure(
            task=task,
            metric=name,
            dataset=known.dataset if known else config.get("dataset_path") or task,
            estimate=over_prompts(float(row[f"{metric},{filtered}"]), stderr, samples),
            higher_is_better=results.get("higher_is_better", {}).get(task, {}).get(metric),
            version=str(results.get("versions", {}).get(task)),
            shots=results.get("n-shot", {}).get(task),
            local_data=bool((config.get("metadata") or {}).get("data_dir")),
            day=datetime.fromtimestamp(results.get("date") or 0, timezone.utc).date().isoformat(),
            setup=_setup(results),
            model=_model(results),
        )


def _metrics(row: dict[str, Any]) -> list[str]:
    """Return the names of what was measured, ``metric`` or ``metric,filter``."""
    return [
        _name(key) for key in row if "," in key and "_stderr," not in key and _number(row[key]) is not None
    ]


def _name(key: str) -> str:
    return key.removesuffix(",none")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _setup(results: dict[str, Any]) -> str:
    config = results.get("config", {})
    said = [
        f"lm-eval {results.get('lm_eval_version')}",
        "chat template" if results.get("chat_template_sha") else "no chat template",
        "with a system instruction" if results.get("system_instruction_sha") else "no system instruction",
    ]
    said += [
        f"{key.replace('_', ' ')} {config[key]}" for key in ("batch_size", "model_dtype") if config.get(key)
    ]
    if config.get("limit"):
        said.append(f"--limit {config['limit']:g}")
    return ", ".join(said).replace("model dtype torch.", "dtype ")


def _model(results: dict[str, Any]) -> str:
    """Return the path or id of what was scored, as lm-eval was given it; empty if it does not say."""
    arguments = results.get("config", {}).get("model_args") or {}
    if isinstance(arguments, str):
        arguments = {name: value for name, _, value in (part.partition("=") for part in arguments.split(","))}
    return str(arguments.get("peft") or arguments.get("pretrained") or "")
