"""Trains the world's models: base, utility expert (full) and safety expert (LoRA)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from sst_mergekit.demo.world import WorldSize


class Row(TypedDict):
    """One exchange: what the user asks and what the model is taught to answer."""

    prompt: str
    response: str


@dataclass(frozen=True)
class WorldPaths:
    """Where a trained world lies: two full checkpoints, one PEFT adapter, and the data's folders."""

    base: Path
    utility: Path
    safety_lora: Path
    dev: Path
    test: Path
    harm: Path
    benign: Path


def train_world(out: Path, seed: int, size: WorldSize, progress: bool = True) -> WorldPaths:
    """Returns the paths of the world under `out`, training what is not there yet."""
    raise NotImplementedError("the world's training is being written")


def train_lora(
    model_dir: Path, rows: Sequence[Row], out: Path, *, steps: int, lr: float, rank: int, seed: int
) -> Path:
    """Returns `out`, a PEFT adapter trained on `rows` over the checkpoint in `model_dir`."""
    raise NotImplementedError("the world's training is being written")
