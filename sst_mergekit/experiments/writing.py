"""Writing results as JSON, a comparison's with the manifest of the run that made it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sst_mergekit.files import write_text
from sst_mergekit.jobs.manifest import manifest
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.testbeds.model import Testbed

RESULTS = "results.json"  # of a demo or a study


def write_json(path: Path, body: Mapping[str, Any]) -> None:
    """Write plain data, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(body, indent=1, ensure_ascii=False) + "\n")


def write_results(
    out: Path, body: Mapping[str, Any], beds: Sequence[Testbed], runner: Runner, page: Path
) -> None:
    """Write results.json and its manifest; `page` is the file that says what was run."""
    about = body["config"]
    data = [(bed.unit("data").name, runner.store.path(bed.unit("data"))) for bed in beds]
    write_json(out / RESULTS, body)
    facts = manifest(about["command"], page, about["seeds"], data, runner.phases)
    write_json(out / "manifests" / RESULTS, facts | {"results": [RESULTS]})
