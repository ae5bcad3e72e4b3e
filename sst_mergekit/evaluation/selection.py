"""Which of a task's rows are asked: none that were seen before, and as many as wanted, by a fixed seed.

Needed because lm-eval's ``--limit`` takes the first rows, which a data set may have in order, and its
``--samples`` numbers that the user must draw.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

from sst_mergekit.errors import DataError, EvaluationError, closest
from sst_mergekit.evaluation.rows import Row
from sst_mergekit.evaluation.seen import seen_hashes
from sst_mergekit.resources import tasks_path
from sst_mergekit.statistics.rows import prompt_hash

_LOGGER = logging.getLogger(__name__)


def select(task: str, rows: list[Row], metadata: Mapping[str, Any], text: str = "prompt") -> list[Row]:
    """Return the rows of `task` to ask, in their order, as ``--metadata`` wants it.

    Args:
        task: its name.
        rows: all rows.
        metadata: ``seen`` (files and directories whose prompts are left out), ``samples`` (a number, or a
            number for each task name; missing or null: all), ``sample_seed`` (0 if missing), and from a
            group's YAML ``default_samples`` (at most that many, where ``samples`` says nothing).
        text: the field that ``seen`` is about.

    Raises:
        DataError: more rows wanted than there are, or none left.
        EvaluationError: a key of `metadata` holds something else than the above.
    """
    seen = seen_hashes(metadata.get("seen"))
    fresh = [row for row in rows if prompt_hash(row[text]) not in seen] if seen else rows
    if not fresh:
        raise DataError(
            f"{task}: all {len(rows)} prompts are among those of metadata.seen; nothing is left to ask"
        )
    size = _size(task, len(fresh), metadata)
    seed = _whole("sample_seed", metadata.get("sample_seed", 0), least=0)
    chosen = sorted(random.Random(seed).sample(range(len(fresh)), size))  # noqa: S311 (not for secrecy)
    if seen or size < len(fresh):
        _LOGGER.warning(
            "%s: %d of %d prompts dropped as seen; asking %d of %d (sample_seed %d)",
            *(task, len(rows) - len(fresh), len(rows), size, len(fresh), seed),
        )
    return [fresh[index] for index in chosen]


def _size(task: str, available: int, metadata: Mapping[str, Any]) -> int:
    wanted, key = metadata.get("samples"), "samples"
    if isinstance(wanted, Mapping):
        _check_names(wanted)
        wanted, key = wanted.get(task), f"samples.{task}"
    if wanted is None:
        return min(metadata.get("default_samples") or available, available)
    if _whole(key, wanted, least=1) > available:
        raise DataError(
            f"metadata.{key}: {task} has {available} prompts, {wanted} are wanted; ask for fewer, or for a "
            f'number a task: --metadata \'{{"samples": {{"{task}": {available}}}}}\''
        )
    return int(wanted)


def _check_names(wanted: Mapping[str, Any]) -> None:
    known = [folder.name for folder in tasks_path().iterdir() if folder.name.startswith("sst_")]
    for name in wanted:
        if name not in known:
            raise EvaluationError(f"metadata.samples: unknown task {name!r}{closest(name, known)}")


def _whole(key: str, value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise EvaluationError(f"metadata.{key}: got {value!r}, expected a whole number >= {least}")
    return value
