"""How a LoRA expert is trained: the options of ``sst-mergekit train-lora``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """How an expert is trained.

    Attributes:
        steps: optimiser steps (AdamW, short warm-up, linear decay).
        learning_rate: at its highest.
        rank: of the LoRA on every linear layer; its alpha is twice that.
        batch_size: conversations a step; halved for the memory's sake where it does not fit, with the same
            gradients.
        samples: conversations, chosen by the seed; None for all.
        max_length: tokens; longer conversations are cut.
        seed: of the LoRA's start, the choice and the batches.
        progress: show a bar.
    """

    steps: int = 200
    learning_rate: float = 2e-4
    rank: int = 16
    batch_size: int = 8
    samples: int | None = None
    max_length: int = 1024
    seed: int = 42
    progress: bool = True
