"""`sst-mergekit sweep --model tiny-world`, really run on a world too small to learn anything."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from inline import Inline

from sst_mergekit.cli import main
from sst_mergekit.testbeds.tiny import sizes as tiny
from sst_mergekit.testbeds.tiny.world import FULL

pytestmark = pytest.mark.slow


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shrink the world, and work in this process."""
    steps = {"base_steps": 4, "utility_steps": 2, "safety_steps": 2}
    world = dataclasses.replace(FULL, **steps, width=32, layers=1, look_alikes=4, calibration_rows=16)
    monkeypatch.setattr(tiny, "FULL", world)
    monkeypatch.setattr("sst_mergekit.jobs.cluster.workers", lambda *_, **__: Inline())


def test_methods_are_swept_on_the_experiments_units(small: None, tmp_path: Path) -> None:
    words = ["sweep", "--model", "tiny-world", "--methods", "TA,sst", "--sampler", "tpe", "--budget", "1"]
    result = CliRunner().invoke(main, [*words, "--workers", "1", "--out", str(tmp_path), "--json", "--quiet"])
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert body == json.loads((tmp_path / "sweep.json").read_text())
    tried = {name: one["points"] for name, one in body["subjects"].items()}
    assert {name: [sorted(p["settings"]) for p in points] for name, points in tried.items()} == {
        "task_arithmetic, seed 42": [["strength"]],
        "sst, seed 42": [["cost", "strength"]],
    }
    assert body["metrics"]["utility"][0] == "sst_mmlu:acc"
    kinds = {path.parent.parent.name for path in tmp_path.glob("units/*/*/unit.json")}
    assert kinds == {"data", "train", "statistics", "fold", "score"}
