"""The runs in results of ``sst-mergekit experiment``: each method's scores, of all seeds and files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sst_mergekit.comparison.locating import Found, Place, newest_results
from sst_mergekit.comparison.reading import TaskRun, read_task
from sst_mergekit.errors import EvaluationError


def places_of(arguments: Sequence[str]) -> list[Place]:
    """Return a run for each method of the files, in their order; empty where the arguments are no such files.

    Raises:
        EvaluationError: only some of them are, or two files hold the same seed of the same model.
    """
    bodies = [_results(Path(argument)) for argument in arguments]
    if not any(bodies):
        return []
    parts: dict[str, dict[str, Path]] = {}
    for argument, body in zip(arguments, bodies, strict=True):
        if body is None:
            raise EvaluationError(f"{argument}: is no result of an experiment as the others are")
        units = Path(argument).absolute().parent.parent / "units"
        for seed, methods in body["units"].items():
            label = f"{body['config']['model']}, seed {seed}"
            for method, place in methods.items():
                if label in parts.setdefault(method, {}):
                    raise EvaluationError(f"{argument}: {label} is in another file too; give each once")
                parts[method][label] = units / place / "result"
    return [
        Place(method, next(iter(folders.values())), tuple(Place(label, at) for label, at in folders.items()))
        for method, folders in parts.items()
    ]


def _results(path: Path) -> dict[str, Any] | None:
    """Return the results of an experiment that says where its scores are; None if the file is none."""
    if not path.is_file():
        return None
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return body if isinstance(body, dict) and "units" in body and "config" in body else None


def read_parts(place: Place, task: str, found: Found, cluster: str | None) -> TaskRun:
    """Return a task of a run; of a method of an experiment its prompts on every seed.

    Raises:
        EvaluationError: a seed has no scores of the task, or was scored with other settings.
    """
    if not place.parts:
        return read_task(place, task, found, cluster)
    runs = []
    for part in place.parts:
        there = newest_results(part)
        if task not in there:
            raise EvaluationError(f"run '{place.name}': {part.name}: {task}: not scored there")
        runs.append(replace(read_task(part, task, there[task], cluster), run=place.name))
    if any(run.settings != runs[0].settings for run in runs):
        raise EvaluationError(f"run '{place.name}': {task}: seeds were scored with different settings")
    whole = replace(runs[0], doc_ids={}, prompts={}, clusters={}, scores={})
    for part, run in zip(place.parts, runs, strict=True):
        for key in run.doc_ids:
            here = (f"{part.name}: {key[0]}", key[1])
            whole.doc_ids[here], whole.prompts[here] = run.doc_ids[key], run.prompts[key]
        for metric, scores in run.scores.items():
            named = {(f"{part.name}: {key[0]}", key[1]): value for key, value in scores.items()}
            whole.scores.setdefault(metric, {}).update(named)
    return whole
