"""Reads a task's rows from a local folder, or from the Hub if none is named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.errors import DataError

DATA_DIR_VARIABLE = "SST_MERGEKIT_DATA_DIR"

Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """Where one split lies: a file under the data folder, or a split of a Hub data set."""

    file: str
    hub_path: str
    hub_split: str
    hub_config: str | None = None


def read_rows(source: Source, fields: Mapping[str, type], data_dir: str | None = None) -> list[Row]:
    """Return the rows of `source`, each with every one of `fields` in its type, and no others.

    The folder is `data_dir`, else the environment variable ``SST_MERGEKIT_DATA_DIR``; with neither the
    rows come from the Hub.

    Raises:
        DataError: a file, row or field is missing or of the wrong type, or the Hub cannot be reached.
    """
    root = data_dir or os.environ.get(DATA_DIR_VARIABLE)
    if root:
        path = _existing(Path(root), source.file)
        numbered, where = json_lines(path), str(path)
    else:
        numbered, where = enumerate(_hub_rows(source), 1), f"{source.hub_path}/{source.hub_split}"
    rows = [_checked(row, fields, f"{where}:{number}") for number, row in numbered]
    if not rows:
        raise DataError(f"{where}: no rows; expected at least one with the fields {', '.join(fields)}")
    return rows


def hub_rows(source: Source, fields: Mapping[str, type]) -> list[Row]:
    """Return the rows of `source` as `read_rows` does, but from the Hub, whatever the environment names.

    Raises:
        DataError: the Hub cannot be reached, or a row or field is missing or of the wrong type.
    """
    where = f"{source.hub_path}/{source.hub_split}"
    return [_checked(row, fields, f"{where}:{number}") for number, row in enumerate(_hub_rows(source), 1)]


def to_dataset(rows: list[Row]) -> Any:
    """Return a ``datasets.Dataset`` of `rows`, which is what lm-eval iterates over."""
    from datasets import Dataset

    return Dataset.from_list(rows)


def _existing(root: Path, file: str) -> Path:
    if not root.is_dir():
        raise DataError(
            f'data_dir: {root} is not a folder; give --metadata \'{{"data_dir": "DIR"}}\' or '
            f"{DATA_DIR_VARIABLE} a folder that holds {file}"
        )
    path = root / file
    if not path.is_file():
        raise DataError(f"{path}: file not found; put it there, or leave data_dir out to use the Hub")
    return path


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield the number and value of each line of a .jsonl file that is not blank."""
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise DataError(
                    f"{path}:{number}: not a JSON object ({error.msg}); one object a line"
                ) from error


def _hub_rows(source: Source) -> Iterable[Any]:
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        return datasets.load_dataset(source.hub_path, source.hub_config, split=source.hub_split)
    except (OSError, ValueError, DatasetsError) as error:
        raise DataError(
            f"{source.hub_path} (split {source.hub_split}): cannot be loaded from the Hub "
            f"({type(error).__name__}: {error}); check the network and the data set's terms, or put "
            f'{source.file} in a folder and name it by --metadata \'{{"data_dir": "DIR"}}\' or '
            f"{DATA_DIR_VARIABLE}"
        ) from error


def _checked(row: Any, fields: Mapping[str, type], where: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"{where}: got {type(row).__name__}, expected an object with {', '.join(fields)}")
    for name, kind in fields.items():
        if name not in row:
            raise DataError(f"{where}: field {name!r} is missing; the row has {', '.join(sorted(row))}")
        if type(row[name]) is not kind:
            raise DataError(
                f"{where}: field {name!r}: got {type(row[name]).__name__}, expected {kind.__name__}"
            )
    return {name: row[name] for name in fields}
