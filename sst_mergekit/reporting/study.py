"""A study with its report: what ``sst-mergekit study`` and ``sst_mergekit.study`` call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sst_mergekit.experiments.study import MEASURE, run
from sst_mergekit.experiments.study_file import load
from sst_mergekit.reporting.write import write


def study(source: str | Path | Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Train, measure, merge, tune, score and report; return what results.json holds.

    Args:
        source: a study file, or what one holds (relative paths are from the working directory then).
        options: of ``experiments.study.run``: ``count``, ``ray``, ``only``, ``unsafe_code``, ``progress``,
            ``command``.

    Raises:
        SstError: a key, model, file, task or metric is not there; found before anything is made.
    """
    given = load(Path("study"), source) if isinstance(source, Mapping) else load(Path(source))
    body = run(given, **options)
    if options.get("only") != MEASURE:
        write(given.out)
    return body
