"""How a LoRA expert is trained: the options of ``sst-mergekit train-lora``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sst_mergekit.errors import StatisticsError

ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class Options:
    """How an expert is trained.

    Attributes:
        steps: optimiser steps (AdamW, linear decay after `warm_up`, a share of them).
        learning_rate: at its highest.
        rank, alpha, dropout: of the LoRA; without an alpha it is twice the rank.
        batch_size: conversations a pass; halved for the memory's sake where it does not fit, with the same
            gradients. `accumulate` of them are a step.
        samples: conversations, chosen by the seed; None for all.
        max_length: tokens; longer conversations are cut.
        seed: of the LoRA's start, the choice, the order and the dropout.
        progress: show a bar.
        target_modules: names of linear layers, with commas.
        target_parameters: names of experts' parameters (``experts.gate_up_proj``), with commas; "" for none.
        validation, validation_share: a data set, or a share of the data, whose loss is measured at the end.
        gradient_checkpointing: compute activations again in the backward pass rather than hold them.
        checkpoints: steps from one to the next; None for none.
        checkpoint_folder: where they are; None for beside the adapter.
    """

    steps: int = 200
    learning_rate: float = 2e-4
    rank: int = 16
    batch_size: int = 8
    samples: int | None = None
    max_length: int = 1024
    seed: int = 42
    progress: bool = True
    alpha: int | None = None
    dropout: float = 0.0
    target_modules: str = ALL_LINEAR
    target_parameters: str = ""
    accumulate: int = 1
    warm_up: float = 0.05
    weight_decay: float = 0.0
    validation: str | None = None
    validation_share: float | None = None
    gradient_checkpointing: bool = False
    checkpoints: int | None = None
    checkpoint_folder: Path | None = None

    def __post_init__(self) -> None:
        if self.target_parameters and self.dropout:
            raise StatisticsError("--dropout: a LoRA on --target-parameters has none; leave one of them out")
        if self.validation is not None and self.validation_share is not None:
            raise StatisticsError("--validation, --validation-share: give one of them")
        if self.checkpoint_folder is not None and self.checkpoints is None:
            raise StatisticsError("--checkpoint-folder: give --checkpoints too")
