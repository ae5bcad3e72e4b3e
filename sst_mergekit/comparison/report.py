"""The comparison as plain data, and the folder of markdown, JSON and picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sst_mergekit.comparison.markdown import to_markdown
from sst_mergekit.comparison.picture import draw
from sst_mergekit.comparison.run import Comparison
from sst_mergekit.files import new_directory
from sst_mergekit.metrics.estimate import plain
from sst_mergekit.metrics.resampling import TAIL

INTERVAL = ("value", "low", "high")  # of an estimate


def write(comparison: Comparison, out: Path, command: str, force: bool) -> None:
    """Write ``compare.md``, ``compare.json`` and ``compare.png`` into a folder, all of them or none.

    Raises:
        SstError: the folder holds something and `force` is not set.
    """
    with new_directory(out, force) as folder:
        text = f"# Paired comparison\n\n`{command}`\n\n{to_markdown(comparison)}\n![forest](compare.png)\n"
        (folder / "compare.md").write_text(text, encoding="utf-8")
        body = json.dumps(to_json(comparison, command), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "compare.json").write_text(body + "\n", encoding="utf-8")
        draw(comparison, folder / "compare.png")


def to_json(comparison: Comparison, command: str) -> dict[str, Any]:
    """Return the whole comparison as plain data; a figure that is not defined is null."""
    options = comparison.options
    return {
        "command": command,
        "runs": comparison.runs,
        "reference": comparison.runs[0],
        "files": comparison.files,
        "seed": options.seed,
        "resamples": options.resamples,
        "confidence": 1 - 2 * TAIL,
        "cluster": options.cluster,
        "holm_tests": comparison.tests,
        "different_settings": comparison.differing,
        "notes": comparison.notes,
        "metrics": [plain(metric, INTERVAL) for metric in comparison.metrics],
        "safety_tax": plain(comparison.taxes, INTERVAL) if comparison.taxes else None,
    }
