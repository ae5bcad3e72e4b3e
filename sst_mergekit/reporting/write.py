"""Writing report.md, report.json and report.html beside the results."""

from __future__ import annotations

import json
from pathlib import Path

from sst_mergekit.files import write_text
from sst_mergekit.metrics.estimate import plain
from sst_mergekit.reporting.build import Part, build
from sst_mergekit.reporting.markdown import to_markdown
from sst_mergekit.reporting.render import to_html
from sst_mergekit.reporting.results import find

FIGURE = ("value", "low", "high", "n", "reason")  # of an estimate


def parts(out: Path, examples: bool | None = None) -> list[Part]:
    """Return the report of all results in a folder (see `write`)."""
    return [build(results, examples) for results in find(out)]


def write(out: Path, examples: bool | None = None) -> list[Path]:
    """Write the three files from all results in a folder; return their paths.

    Args:
        out: what ``sst-mergekit experiment --out`` wrote.
        examples: whether prompts and answers are included; None: those of the tiny world alone.

    Raises:
        SstError: no results, or damaged ones.
    """
    found = parts(out, examples)
    bodies = [plain(part, FIGURE) for part in found]
    texts = {
        "report.md": to_markdown(found),
        "report.json": json.dumps(bodies, indent=1, ensure_ascii=False) + "\n",
        "report.html": to_html(found),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    return [out / name for name in texts]
