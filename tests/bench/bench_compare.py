"""How long ``sst-mergekit compare`` takes over ten runs of 2,000 prompts, and over as many of MMLU's size."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import usage
from report import Report

sys.path.append(str(Path(__file__).parents[1] / "comparison"))
from made_runs import samples, write_run  # noqa: E402

RUNS, PADDING = 10, "x" * 3000  # a prompt's text in each sample


@pytest.mark.bench
@pytest.mark.parametrize("prompts", [2_000, 14_042])
def test_compare(report: Report, tmp_path: Path, prompts: int) -> None:
    """Record the seconds of the whole command, reading and drawing included."""
    rng = np.random.default_rng(0)
    folders = []
    for number in range(RUNS):
        rows = samples(acc=(rng.random(prompts) < 0.5 + 0.01 * number).astype(float).tolist())
        for row in rows:
            row["arguments"] = PADDING
        folders.append(str(write_run(tmp_path / f"run{number}", {"quiz": rows})))
    command = [sys.executable, "-m", "sst_mergekit", "compare", *folders, "--out", str(tmp_path / "out")]
    used = usage.of(command, threads=2)
    name = f"compare: {RUNS} runs of {prompts} prompts, 45 pairs, 10,000 resamples"
    report.figure("Comparison", name, [used.wall], "s")
