"""Prompts that a model or its statistics have seen, so that it is not scored on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sst_mergekit.errors import DataError, EvaluationError
from sst_mergekit.evaluation.rows import json_lines
from sst_mergekit.files import expanded
from sst_mergekit.statistics.manifest import FILE_NAME, read_manifest
from sst_mergekit.statistics.rows import prompt_hash


def seen_hashes(names: Any) -> frozenset[str]:
    """Return the hashes of all prompts behind `names`, the value of ``metadata.seen``.

    Args:
        names: a list of paths, or None. Each is a directory of ``sst-mergekit fisher`` (or the manifest
            in it), whose manifest holds the hashes, or a .jsonl file of training data with a ``prompt``
            or chat ``messages`` in each row.

    Raises:
        EvaluationError: `names` is not a list of texts.
        DataError: a path is missing, a manifest without hashes, or a row without a prompt.
        StatisticsError: a manifest is damaged.
    """
    if names is None:
        return frozenset()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise EvaluationError(f"metadata.seen: got {names!r}, expected a list of paths")
    return frozenset().union(*(_of(name) for name in names))


def _of(name: str) -> frozenset[str]:
    path = expanded(name)
    if path.is_dir():
        return _of_manifest(path)
    if not path.is_file():
        raise DataError(f"metadata.seen: {name}: no such file or directory")
    if path.name == FILE_NAME:
        return _of_manifest(path.parent)
    if path.suffix != ".jsonl":
        raise DataError(
            f"metadata.seen: {name}: expected a directory of 'sst-mergekit fisher', its {FILE_NAME}, or a "
            ".jsonl file"
        )
    return frozenset(prompt_hash(prompt) for prompt in _prompts(path))


def _of_manifest(directory: Path) -> frozenset[str]:
    data = read_manifest(directory).data
    if "prompts" not in data:
        raise DataError(
            f"metadata.seen: {directory / FILE_NAME}: holds no hashes of prompts; "
            f"measure again, or name its data file ({data.get('location')}) if that is .jsonl"
        )
    return frozenset(data["prompts"])


def _prompts(path: Path) -> Iterator[str]:
    for number, row in json_lines(path):
        messages = row.get("messages") if isinstance(row, dict) else None
        if isinstance(messages, list) and messages:
            yield from (str(turn["content"]) for turn in messages if turn.get("role") == "user")
        elif isinstance(row, dict) and isinstance(row.get("prompt"), str):
            yield row["prompt"]
        else:
            raise DataError(f"metadata.seen: {path}:{number}: neither a 'prompt' nor 'messages' in this row")
