"""Writing report.md, report.json, report.html and the pictures beside the results."""

from __future__ import annotations

import json
from pathlib import Path

from sst_mergekit.experiments.writing import RESULTS
from sst_mergekit.files import write_text
from sst_mergekit.metrics.estimate import plain
from sst_mergekit.reporting import fronts_picture, lines_picture
from sst_mergekit.reporting.build import Part, build
from sst_mergekit.reporting.markdown import summary, to_markdown
from sst_mergekit.reporting.render import to_html
from sst_mergekit.reporting.results import Results, find
from sst_mergekit.reporting.retained import panel

FIGURE = ("value", "low", "high", "n", "reason")  # of an estimate


def write(out: Path, examples: bool | None = None) -> tuple[list[Path], str]:
    """Write the report of all results in a folder; return the files' paths, and the main tables as text.

    Args:
        out: what ``sst-mergekit demo``, ``study`` or ``experiment`` wrote.
        examples: whether prompts and answers are included; None: those of the tiny world alone.

    Raises:
        SstError: no results, or damaged ones.
    """
    found = find(out)
    parts = [build(results, examples) for results in found]
    bodies = [plain(part, FIGURE) for part in parts]
    texts = {
        "report.md": to_markdown(parts),
        "report.json": json.dumps(bodies, indent=1, ensure_ascii=False) + "\n",
        "report.html": to_html(parts),
    }
    for name, text in texts.items():
        write_text(out / name, text)
    pictures = [path for results, part in zip(found, parts, strict=True) for path in _draw(results, part)]
    return [*(out / name for name in texts), *pictures], summary(parts)


def _draw(results: Results, part: Part) -> list[Path]:
    """Draw fronts.png of a demo or study, or a picture beside each result of experiments 2 and 3."""
    paths = []
    if part.rows:
        path = results.files["exp3"]
        paths.append(path.with_name("fronts.png") if path.name == RESULTS else path.with_suffix(".png"))
        fronts_picture.draw(part.rows, paths[-1])
    if part.retained:
        paths.append(results.files["exp2"].with_suffix(".png"))
        lines_picture.draw([panel(part.retained)], paths[-1])
    return paths
