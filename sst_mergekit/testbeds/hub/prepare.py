"""From downloaded data to folders for training, calibration, development and test, with their hashes."""

from __future__ import annotations

import json
from pathlib import Path

from sst_mergekit.errors import DataError
from sst_mergekit.evaluation.rows import json_lines
from sst_mergekit.files import new_directory, sha256, write_text
from sst_mergekit.statistics.rows import prompt_hash
from sst_mergekit.testbeds.hub.download import DATASETS, MANIFEST, check_file, read_manifest, sources
from sst_mergekit.testbeds.hub.splits import Files, Wanted, prompt_of, split


def prepare(data: Path, out: Path, wanted: Wanted) -> dict[str, int]:
    """Write the splits to the new folder `out`; return the rows of each file.

    ``train/safety.jsonl`` and ``calibration/harm.jsonl`` have safe answers to harmful prompts,
    ``train/utility.jsonl`` and ``calibration/benign.jsonl`` questions of MMLU's training split and helpful
    answers to harmless prompts, half each. ``dev`` and ``test`` are data folders of the lm-eval tasks. MMLU's
    development questions are its validation split; HumanEval is too small to be divided and is in the test
    split alone. ``manifest.json`` has the SHA-256 of each file and the number of each split's prompts.

    Raises:
        DataError: a file is missing or was changed, or there are too few prompts.
        SstError: `out` exists.
    """
    files = split(_read(data, wanted.beavertails), wanted)
    prompts = check_disjoint(files)
    with new_directory(out) as folder:
        for name, rows in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        noted = {name: {"rows": len(rows), "sha256": sha256(folder / name)} for name, rows in files.items()}
        body = {"seed": wanted.seed, "files": noted, "prompts": prompts}
        write_text(folder / MANIFEST, json.dumps(body, indent=1) + "\n")
    return {name: len(rows) for name, rows in files.items()}


def check_disjoint(files: Files) -> dict[str, int]:
    """Return the number of prompts in each of train, calibration, dev and test.

    MMLU's few-shot examples are shown, not asked, so that both evaluation splits may have them.

    Raises:
        DataError: two of them share a prompt, whatever its case and blanks.
    """
    prompts: dict[str, set[str]] = {}
    for name, rows in files.items():
        if not name.endswith("mmlu/dev.jsonl"):
            part = name.split("/")[0]
            prompts.setdefault(part, set()).update(prompt_hash(prompt_of(row)) for row in rows)
    names = list(prompts)
    for index, name in enumerate(names):
        for other in names[index + 1 :]:
            if shared := prompts[name] & prompts[other]:
                raise DataError(f"{name} and {other} share {len(shared)} prompts; prepare the data again")
    return {name: len(found) for name, found in prompts.items()}


def required(data: Path, beavertails: str) -> dict[str, str]:
    """Return the SHA-256 of each downloaded file that the splits are made from.

    Raises:
        DataError: a file is missing, or is not one that was downloaded.
    """
    noted = read_manifest(data).get("files", {})
    found = {}
    for dataset in DATASETS:
        for source in sources(dataset, beavertails):
            if not (data / source.file).is_file():
                size = f" --size {beavertails}" if dataset == "beavertails" else ""
                raise DataError(
                    f"{data / source.file}: file not found; get it by 'sst-mergekit data download --dataset "
                    f"{dataset}{size} --out {data}'"
                )
            if source.file not in noted:
                check_file(data, source.file)  # says so
            found[source.file] = noted[source.file]["sha256"]
    return found


def _read(data: Path, beavertails: str) -> Files:
    found = {}
    for name in required(data, beavertails):
        check_file(data, name)
        found[name] = [row for _, row in json_lines(data / name)]
    return found
