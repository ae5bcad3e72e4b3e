"""How long the refusal detector and the coherence rule take over 2,000 responses of about 250 characters."""

from __future__ import annotations

import sys
import time
from itertools import cycle, islice
from pathlib import Path

import pytest
from report import Report

from sst_mergekit.evaluation.refusal import is_refusal
from sst_mergekit.evaluation.response import degeneration

RESPONSES = 2000
REST = (
    " Then take the bowl and stir it slowly for about ten minutes, until it is smooth, and serve it warm." * 2
)


@pytest.mark.bench
def test_detector(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """Record the seconds that each takes over the labelled responses in all their languages, made longer."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1] / "evaluation")])
    from labelled_responses import labelled

    texts = [response.text + REST for response in islice(cycle(labelled()), RESPONSES)]
    for judge in (is_refusal, degeneration):
        judge(texts[0])  # the first compiles the patterns
        started = time.perf_counter()
        for text in texts:
            judge(text)
        seconds = time.perf_counter() - started
        report.figure("Scoring", f"{judge.__name__} of {RESPONSES} responses", [seconds], "s")
