"""A small Llama trained for a few seconds on two rules, so that its statistics have something to say."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from sst_mergekit.statistics.labels import summed_loss
from sst_mergekit.statistics.layers import linear_layers
from sst_mergekit.statistics.tokens import Sequence, pad

WORDS, PROMPT, LENGTH = 24, 4, 8


@dataclass(frozen=True)
class Trained:
    """A model that knows one rule, the patch that teaches it the other, and sequences of both.

    Attributes:
        utility, safety: the model, and the model with the patch.
        patch: weight -> change of the blocks' linear layers.
        measured, held_out: sequences of the first rule.
        harm, harm_held_out: of the second.
    """

    utility: Any
    safety: Any
    patch: dict[str, Tensor]
    measured: list[Sequence]
    held_out: list[Sequence]
    harm: list[Sequence]
    harm_held_out: list[Sequence]


def rows(count: int, step: int, seed: int) -> list[Sequence]:
    """Return sequences whose response counts on from the prompt by `step`; a fifth of the words are noise."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        ids = [step, *torch.randint(0, WORDS, (PROMPT - 1,), generator=generator).tolist()]
        for word in torch.randint(0, 5 * WORDS, (LENGTH - PROMPT,), generator=generator).tolist():
            ids.append(word if word < WORDS else (ids[-1] + step) % WORDS)
        found.append(Sequence(tuple(ids), PROMPT))
    return found


def fit(model: Any, sequences: list[Sequence], steps: int, weights: list[Tensor]) -> None:
    """Train some weights of the model."""
    batch = pad(sequences, "cpu")
    optimiser = torch.optim.AdamW(weights, lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(0, len(sequences), (64,), generator=generator)
        loss = summed_loss(model(input_ids=batch.ids[chosen]).logits, batch.labels[chosen]) / 64
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def trained() -> Trained:
    """Return the models; about five seconds."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=WORDS,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=2,
            initializer_range=0.1,
        )
        utility = LlamaForCausalLM(config)
    measured, held_out, harm, harm_held_out = (
        rows(count, step, seed) for seed, (count, step) in enumerate(((512, 1), (96, 1), (512, 5), (96, 5)))
    )
    fit(utility, measured, 120, list(utility.parameters()))
    safety = copy.deepcopy(utility)
    inner = [name for name in (layer.name for layer in linear_layers(utility)[0]) if ".layers." in name]
    fit(safety, harm, 30, [safety.get_parameter(name) for name in inner])
    patch = {
        name: (safety.get_parameter(name) - utility.get_parameter(name)).detach().double() for name in inner
    }
    return Trained(utility.eval(), safety.eval(), patch, measured, held_out, harm, harm_held_out)
