"""What can be scored: an expert as it is, a merge, or a LoRA trained on the calibration data."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sst_mergekit.evaluation.refusal import is_refusal
from sst_mergekit.files import write_text
from sst_mergekit.testbeds.scores import Scores, score_checkpoint
from sst_mergekit.testbeds.tiny.text import Row


class Candidate(Protocol):
    """Something that can be made into a checkpoint for as long as it is scored."""

    @property
    def name(self) -> str:
        """Unique within a seed; names its score file."""
        ...

    def checkpoint(self) -> contextlib.AbstractContextManager[tuple[Path, Path | None]]:
        """Give (model directory, adapter directory or None) for the time of the block."""
        ...


@dataclass(frozen=True)
class Expert:
    """A model that is there already, perhaps with an adapter."""

    name: str
    model: Path
    adapter: Path | None = None

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[tuple[Path, Path | None]]:
        """Give the model as it is."""
        yield self.model, self.adapter


@dataclass(frozen=True)
class Merge:
    """A recipe; its merged checkpoint is deleted after scoring."""

    name: str
    recipe: Path
    work: Path
    lora_cache: Path
    seed: int

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[tuple[Path, Path | None]]:
        """Merge by mergekit, give the result, delete it."""
        from sst_mergekit.merging.recipe import run_recipe

        out = self.work / self.name
        try:
            run_recipe(self.recipe, out, self.lora_cache, self.seed)
            yield out, None
        finally:
            shutil.rmtree(out, ignore_errors=True)


@dataclass(frozen=True)
class Training:
    """Plain LoRA training of the utility expert on calibration data: the rival without a merge.

    With `refusals` it is on the first so many refusals alone.
    """

    name: str
    model: Path
    rows: tuple[Path, ...]
    out: Path
    steps: int
    learning_rate: float
    seed: int
    refusals: int | None = None

    @contextlib.contextmanager
    def checkpoint(self) -> Iterator[tuple[Path, Path | None]]:
        """Train once, then give model and adapter."""
        from sst_mergekit.testbeds.tiny.training import train_lora

        if not self.out.is_dir():
            settings = {"steps": self.steps, "lr": self.learning_rate, "rank": 8, "seed": self.seed}
            train_lora(self.model, self.taught(), self.out, **settings)
        yield self.model, self.out

    def taught(self) -> list[Row]:
        """Return the rows that are trained on."""
        lines = [line for path in self.rows for line in path.read_text("utf-8").splitlines()]
        rows = [json.loads(line) for line in lines]
        if self.refusals is None:
            return rows
        return [row for row in rows if is_refusal(row["response"])][: self.refusals]


def evaluate(candidate: Candidate, data_dir: Path, score_file: Path) -> Scores:
    """Return the candidate's scores on a split, from ``score_file`` if it has been scored before."""
    if score_file.is_file():
        return Scores.from_dict(json.loads(score_file.read_text(encoding="utf-8")))
    with candidate.checkpoint() as (model, adapter):
        scores = score_checkpoint(model, data_dir, adapter)
    score_file.parent.mkdir(parents=True, exist_ok=True)
    write_text(score_file, json.dumps(scores.to_dict(), indent=1) + "\n")
    return scores
