"""Finding the results of demos, studies and experiments in a folder, with the manifests of their runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.writing import RESULTS
from sst_mergekit.testbeds.options import TINY_WORLD

Body = Mapping[str, Any]
_NAME = re.compile(r"(exp[123])_results_(.+)_(minimal|full)\.json")


@dataclass(frozen=True)
class Results:
    """What a folder holds of one model in one mode.

    Attributes:
        model, mode: of the configuration.
        files: of the experiments' results, by ``exp1``, ``exp2``, ``exp3``; a demo or study is an ``exp3``.
        bodies: what they hold.
        manifests: of the runs that wrote them last, oldest first.
        store: the folder of the units of work.
    """

    model: str
    mode: str
    files: Mapping[str, Path]
    bodies: Mapping[str, Body]
    manifests: list[Body]
    store: Path

    @property
    def is_tiny_world(self) -> bool:
        """Whether prompts and answers are the embedded world's, which are made-up words."""
        return all(body["config"]["full_name"] == TINY_WORLD for body in self.bodies.values())

    @property
    def comparison(self) -> Body | None:
        """Return the result that compares the most models: of experiment 3, else of 1."""
        return self.bodies.get("exp3") or self.bodies.get("exp1")


def find(out: Path) -> list[Results]:
    """Return the results in a folder, by model and mode.

    Raises:
        SstError: there are none, or a file is damaged.
    """
    found: dict[tuple[str, str], dict[str, Path]] = {}
    if (out / RESULTS).is_file():
        about = _result(out / RESULTS)["config"]
        found[about["model"], about["mode"]] = {"exp3": out / RESULTS}
    for path in sorted(out.glob("*/exp?_results_*.json")):
        if match := _NAME.fullmatch(path.name):
            found.setdefault((match[2], match[3]), {})[match[1]] = path
    if not found:
        raise SstError(
            f"{out}: no {RESULTS}, and no exp?_results_MODEL_MODE.json in its folders; "
            f"run 'sst-mergekit experiment --out {out}' first"
        )
    manifests = [_read(path) for path in sorted((out / "manifests").glob("*.json"))]
    return [
        Results(
            *names,
            dict(sorted(paths.items())),
            {experiment: _result(path) for experiment, path in sorted(paths.items())},
            _latest(manifests, {path.relative_to(out).as_posix() for path in paths.values()}),
            out / "units",
        )
        for names, paths in sorted(found.items())
    ]


def comparisons(out: Path) -> list[Body]:
    """Return the results in a folder that compare methods: of a demo, a study or experiment 3.

    Raises:
        SstError: there are none, or a file is damaged.
    """
    found = [results.bodies["exp3"] for results in find(out) if "exp3" in results.bodies]
    if not found:
        raise SstError(f"{out}: no experiment 3, which compares methods; run it first")
    return found


def _latest(manifests: list[Body], files: set[str]) -> list[Body]:
    """Return the last manifest that names each file, once."""
    last = {file: manifest for manifest in manifests for file in manifest["results"] if file in files}
    return [manifest for manifest in manifests if any(manifest is one for one in last.values())]


def _result(path: Path) -> Body:
    body = _read(path)
    if not isinstance(body.get("config"), dict):
        raise SstError(f"{path}: config: missing; this is no result of 'sst-mergekit experiment'")
    return body


def _read(path: Path) -> Body:
    if not path.is_file():
        raise SstError(f"{path}: not there; run the same command again, which goes on where it was stopped")
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SstError(f"{path}: not valid JSON ({error}); run the experiment again") from None
    if not isinstance(body, dict):
        raise SstError(f"{path}: got {type(body).__name__}, expected an object; run the experiment again")
    return body
