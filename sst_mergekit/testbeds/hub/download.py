"""Downloading the data sets into the folders that the lm-eval tasks read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sst_mergekit.errors import DataError
from sst_mergekit.evaluation.rows import Row, Source, hub_rows
from sst_mergekit.files import sha256, write_text

MANIFEST = "manifest.json"
DATASETS = ("beavertails", "mmlu", "humaneval", "xstest")
BEAVERTAILS = ("30k", "330k")
FIELDS: dict[str, dict[str, type]] = {
    "beavertails": {"prompt": str, "response": str, "category": dict, "is_safe": bool},
    "mmlu": {"question": str, "subject": str, "choices": list, "answer": int},
    "humaneval": {"task_id": str, "prompt": str, "canonical_solution": str, "test": str, "entry_point": str},
    "xstest": {"prompt": str, "label": str},
}
LICENCES = {
    "beavertails": "CC BY-NC 4.0: not for commercial use, and its texts are harmful",
    "mmlu": "MIT",
    "humaneval": "MIT",
    "xstest": "CC BY 4.0",
}


def sources(dataset: str, size: str) -> list[Source]:
    """Return the files of a data set; `size` is of BeaverTails.

    >>> [source.file for source in sources("mmlu", "30k")]
    ['mmlu/dev.jsonl', 'mmlu/validation.jsonl', 'mmlu/test.jsonl', 'mmlu/auxiliary_train.jsonl']
    """
    if dataset == "beavertails":
        splits = [f"{size}_{part}" for part in ("train", "test")]
        return [Source(f"beavertails/{split}.jsonl", "PKU-Alignment/BeaverTails", split) for split in splits]
    if dataset == "mmlu":
        splits = ["dev", "validation", "test", "auxiliary_train"]
        return [Source(f"mmlu/{split}.jsonl", "cais/mmlu", split, "all") for split in splits]
    if dataset == "xstest":
        return [Source("over_refusal/test.jsonl", "walledai/XSTest", "test")]
    return [Source("humaneval/test.jsonl", "openai/openai_humaneval", "test")]


def download(datasets: tuple[str, ...], out: Path, size: str) -> Iterator[str]:
    """Write the data sets under `out`, file by file; yield a line a file. A file that is there is kept.

    ``manifest.json`` gets the source, number of rows and SHA-256 of each file.

    Raises:
        DataError: the Hub cannot be reached, or a file that is there is not the one of the manifest.
    """
    for dataset in datasets:
        for source in sources(dataset, size):
            path = out / source.file
            if path.is_file():
                check_file(out, source.file)
                yield f"{path}: is there"
                continue
            rows = hub_rows(source, FIELDS[dataset])
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            note = {"source": source.hub_path, "split": source.hub_split, "licence": LICENCES[dataset]}
            digest = hashlib.sha256(text.encode()).hexdigest()
            path.parent.mkdir(parents=True, exist_ok=True)
            _note(out, source.file, {**note, "rows": len(rows), "sha256": digest})
            write_text(path, text)  # last: a file that is there has its note
            yield f"{path}: {len(rows)} rows ({source.hub_path}; {LICENCES[dataset]})"


def check_file(folder: Path, name: str) -> None:
    """Raise DataError unless the file is the one that the folder's manifest names."""
    noted = read_manifest(folder).get("files", {}).get(name)
    if noted is None:
        raise DataError(f"{folder / name}: is not in {folder / MANIFEST}; move it away, then download again")
    if sha256(folder / name) != noted["sha256"]:
        raise DataError(f"{folder / name}: was changed since its download; delete it, then download again")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of a data folder; empty where there is none."""
    path = folder / MANIFEST
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _note(folder: Path, name: str, about: Mapping[str, Any]) -> None:
    body = read_manifest(folder)
    files: dict[str, Row] = body.get("files", {})
    body["files"] = {**files, name: dict(about)}
    write_text(folder / MANIFEST, json.dumps(body, indent=1, ensure_ascii=False) + "\n")
