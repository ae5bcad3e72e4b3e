"""What a refit is asked for: start, data and options; no torch, so that the command line is quick."""

from __future__ import annotations

from dataclasses import dataclass

from sst_mergekit.core.settings import DEFAULTS
from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.rows import Source

PARTS = ("factors", "core")


@dataclass(frozen=True)
class Start:
    """How the patch is prepared.

    Attributes:
        base, expert: the safety expert and what it was made from; the expert may be ``base+adapter``.
        strength: the patch is multiplied by it.
        rank: most directions of a layer that are kept (by SVD).
        fisher: statistics of harm and of benign skill, ``kronecker``; None for the patch as it is.
        cost: of the filter, with statistics.
    """

    base: str
    expert: str
    strength: float = 0.5
    rank: int = 16
    fisher: tuple[str, str] | None = None
    cost: float = DEFAULTS.cost


@dataclass(frozen=True)
class Data:
    """Calibration data: harmful requests with refusals, and benign conversations.

    Attributes:
        harm, benign: where the rows come from.
        samples: how many of either, chosen by the seed; None for all.
        max_length: tokens of one sequence; longer ones are cut.
    """

    harm: Source
    benign: Source
    samples: int | None = None
    max_length: int = 1024


@dataclass(frozen=True)
class Options:
    """How the patch is refitted.

    Attributes:
        steps: optimiser steps at most (AdamW).
        learning_rate: of a LoRA's factors; in units of the patch where its core is fitted.
        harm_weight: w in (0, 1).
        distill: k in [0, 1], the share of the utility expert in teaching benign answers.
        batch_size: sequences a step, half of them harm.
        held_out: share of either set that is not trained on, in (0, 1).
        seed: of the batches.
        progress: show a bar.
    """

    steps: int = 240
    learning_rate: float = 2e-3
    harm_weight: float = 0.3
    distill: float = 0.5
    batch_size: int = 32
    held_out: float = 0.2
    seed: int = 0
    progress: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < float("inf"):
            raise StatisticsError(f"--learning-rate: {self.learning_rate} is no rate; give one above 0")
        if not 0 <= self.distill <= 1:
            raise StatisticsError(f"--distill: {self.distill} is no share; give one from 0 to 1")
