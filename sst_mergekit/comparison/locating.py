"""Where the runs are: names, folders, and the newest of lm-eval's result files for each task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sst_mergekit.errors import EvaluationError


@dataclass(frozen=True)
class Place:
    """A run as the user named it: a folder of ``lm_eval --output_path``, or one result file of it.

    Attributes:
        parts: of a method of an experiment: its scores on each seed.
    """

    name: str
    path: Path
    parts: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Found:
    """The result file that holds a task of a run, and how many older ones hold it too."""

    file: Path
    results: dict[str, Any]
    older: int

    @property
    def time(self) -> str:
        """Return lm-eval's time stamp, which the sample files of the same run carry."""
        return _time(self.file)


def name_runs(arguments: Sequence[str]) -> list[Place]:
    """Return the runs of the arguments ``PATH`` or ``NAME=PATH``.

    A run without a name is called by the part of its path that differs between the runs.

    Raises:
        EvaluationError: nothing is at a path, or two runs have the same name.
    """
    split = [("", text) if Path(text).exists() else _named(text) for text in arguments]
    for _, path in split:
        if not Path(path).exists():
            raise EvaluationError(f"{path}: no such run; give a folder that `lm_eval --output_path` wrote")
    unnamed = [_folder(Path(path)).resolve() for name, path in split if not name]
    defaults = iter(differing_parts(unnamed))
    places = [Place(name or next(defaults), Path(path)) for name, path in split]
    names = [place.name for place in places]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(f"{names.count(name)} runs are called '{name}'; name them: NAME=PATH")
    return places


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    return (name, path) if equals else ("", text)


def _folder(path: Path) -> Path:
    return path.parent if path.is_file() else path


def differing_parts(paths: Sequence[Path]) -> list[str]:
    """Return each path without the folders that all begin and end with.

    >>> differing_parts([Path("out/sst/llama"), Path("out/ties/llama")])
    ['sst', 'ties']
    >>> differing_parts([Path("out/sst")])
    ['sst']
    """
    parts = [path.parts for path in paths]
    if len(set(parts)) < 2:
        return [path.name for path in paths]
    while len({p[-1] for p in parts}) == 1:
        parts = [p[:-1] for p in parts]
    while len({p[0] for p in parts}) == 1 and all(len(p) > 1 for p in parts):
        parts = [p[1:] for p in parts]
    return ["/".join(p) for p in parts]


def newest_results(place: Place) -> dict[str, Found]:
    """Return for each task of a run its newest result file, by task name.

    Raises:
        EvaluationError: no result file, results of several models, or a file that is none of lm-eval's.
    """
    files = [place.path] if place.path.is_file() else sorted(place.path.rglob("results_*.json"))
    if not files:
        raise EvaluationError(
            f"{place.path}: no results_*.json; run `lm_eval --log_samples --output_path {place.path}` first"
        )
    folders = sorted({file.parent for file in files})
    if len(folders) > 1:
        raise EvaluationError(
            f"{place.path}: holds results of {len(folders)} models; give one folder, as {folders[0]}"
        )
    found: dict[str, Found] = {}
    for file in sorted(files, key=_time, reverse=True):
        results = _read(file)
        for task in results["configs"]:
            newer = found.get(task)
            found[task] = replace(newer, older=newer.older + 1) if newer else Found(file, results, 0)
    return found


def _time(file: Path) -> str:
    return file.stem.rpartition("_")[2]


def _read(file: Path) -> dict[str, Any]:
    try:
        results = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise EvaluationError(f"{file}: cannot be read ({error}); run lm_eval again") from error
    if not isinstance(results, dict) or not isinstance(results.get("configs"), dict):
        raise EvaluationError(f"{file}: not a result file of lm-eval (no 'configs'); give its --output_path")
    return results
