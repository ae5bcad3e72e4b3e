"""The demo's tiny world: its sizes, its files on disk and the command that shows its conflict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class WorldSize:
    """How much is trained and how much is asked: optimiser steps and rows of each set."""

    base_steps: int
    utility_steps: int
    safety_steps: int
    harmful_prompts: int
    look_alikes: int
    choice_questions: int
    programs: int
    calibration_rows: int


FULL = WorldSize(400, 200, 160, 168, 90, 160, 64, 400)
QUICK = WorldSize(200, 80, 60, 84, 40, 80, 32, 160)


def build_data(out: Path, seed: int, size: WorldSize) -> None:
    """Writes ``dev/``, ``test/``, ``train/`` and ``calibration/`` under `out`; the same bytes for a seed."""
    raise NotImplementedError("the world's texts are being written")
