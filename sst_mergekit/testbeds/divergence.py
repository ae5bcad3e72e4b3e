"""How far a model is from the utility expert on benign rows, and how well it foretells them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sst_mergekit.files import write_text
from sst_mergekit.merging.recipe import quiet_libraries
from sst_mergekit.statistics.loading import load_model
from sst_mergekit.statistics.positions import RESPONSE
from sst_mergekit.statistics.rows import Source
from sst_mergekit.statistics.sequences import read_sequences
from sst_mergekit.statistics.settings import ModelSpec
from sst_mergekit.statistics.tokens import Batch, batches
from sst_mergekit.testbeds import scoring
from sst_mergekit.testbeds.scoring import Inputs, Parents

FILE = "divergence.json"


def diverge(
    inputs: Inputs,
    parents: Parents,
    out: Path,
    spec: Callable[[str, str | None], ModelSpec],
    batch_size: int,
    max_length: int,
) -> None:
    """Hold the model that `inputs` name against the utility expert on held-out benign rows.

    `spec` says how a model and an adapter on it are loaded; for the rest see ``write_divergence``.
    """
    quiet_libraries()
    out.mkdir()
    rows = parents["data"] / "held_out" / "benign.jsonl"
    with scoring.checkpoint(inputs, parents, out) as (model, adapter):
        utility, other = (
            spec(str(parents["utility"]), None),
            spec(str(model), str(adapter) if adapter else None),
        )
        write_divergence(utility, other, rows, out, batch_size, max_length)


def write_divergence(
    reference: ModelSpec, other: ModelSpec, rows: Path, out: Path, batch_size: int, max_length: int
) -> None:
    """Write ``KL(reference || other)`` in nats a response token, and the perplexity of `other` on the rows.

    Args:
        reference: the utility expert.
        other: what is held against it.
        rows: conversations; their prompts are seen, the means are over the tokens of their responses.
        out: folder of the result.
        batch_size, max_length: sequences at a time, and tokens of one.
    """
    sequences = read_sequences(reference, Source(str(rows)), None, 0, max_length, None).sequences
    ours, theirs = load_model(reference), load_model(other)
    divergence = loss = 0.0
    for batch in batches(sequences, batch_size, reference.device):
        mask = RESPONSE.mask(batch)
        one, two = (_log_probabilities(model, batch, mask) for model in (ours, theirs))
        divergence += (one.exp() * (one - two)).sum().item()
        targets = batch.labels[mask]
        loss -= two.gather(1, targets[:, None]).sum().item()
    tokens = sum(sequence.predicted for sequence in sequences)
    body = {"divergence": divergence / tokens, "perplexity": math.exp(loss / tokens)}
    write_text(out / FILE, json.dumps(body) + "\n")


def _log_probabilities(model: Any, batch: Batch, mask: torch.Tensor) -> torch.Tensor:
    """Return log probabilities [n, vocabulary] at the masked positions; in float64, as KL is a difference."""
    with torch.no_grad():
        logits = model(input_ids=batch.ids, attention_mask=batch.attention, use_cache=False).logits
    return logits[mask].double().log_softmax(-1)


def read_divergence(path: Path) -> dict[str, float]:
    """Return what `write_divergence` wrote."""
    return json.loads((path / FILE).read_text(encoding="utf-8"))
