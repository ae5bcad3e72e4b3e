"""What `--factor-rank` changes: filtered patches of a trained model, against those of dense factors.

    python rank_error.py 16 64 256

A Llama of 4 M parameters (width 384, MLP 1,024) learns two languages, each a random table of which word
follows which; the safety expert is trained further on the one. Its patch is filtered with statistics of both,
as a merge does. Prints JSON: rank -> relative error of each layer's filtered patch; how much the dense filter
takes of each; and the losses, to show that it learnt.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from sst_mergekit.core.filtering import filter_patch
from sst_mergekit.core.geometries import GEOMETRIES
from sst_mergekit.core.settings import FilterSettings
from sst_mergekit.statistics.collect import Collected, collect
from sst_mergekit.statistics.settings import Form, Options
from sst_mergekit.statistics.tokens import Sequence

WORDS, FOLLOWERS, LENGTH, BATCH = 256, 4, 48, 8
STEPS, MORE, SAMPLES = 120, 40, 48


def language(seed: int) -> Tensor:
    """Return which words may follow each word [words, followers]."""
    return torch.randint(0, WORDS, (WORDS, FOLLOWERS), generator=torch.Generator().manual_seed(seed))


def text(table: Tensor, rows: int, generator: torch.Generator) -> Tensor:
    """Return random sentences [rows, length]."""
    words = [torch.randint(0, WORDS, (rows,), generator=generator)]
    for _ in range(LENGTH - 1):
        words.append(table[words[-1], torch.randint(0, FOLLOWERS, (rows,), generator=generator)])
    return torch.stack(words, 1)


def train(model: Any, tables: list[Tensor], steps: int, seed: int) -> float:
    """Train on the languages in turn; return the mean loss of the last ten steps."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    losses = []
    for step in range(steps):
        ids = text(tables[step % len(tables)], BATCH, generator)
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return sum(losses[-10:]) / 10


def measured(model: Any, table: Tensor, rank: int | None) -> Collected:
    """Return Kronecker statistics of the model on a language."""
    rows = text(table, SAMPLES, torch.Generator().manual_seed(9)).tolist()
    sequences = [Sequence(tuple(row), LENGTH // 4) for row in rows]
    return collect(model, sequences, Options(form=Form(factor_rank=rank), progress=False))


def filtered(patches: dict[str, Tensor], harm: Collected, benign: Collected) -> dict[str, Tensor]:
    """Return each layer's patch as a merge with default settings filters it, balanced alike in all layers."""
    found = {}
    for name, patch in patches.items():
        sides = [each.of(name) for each in (harm, benign)]
        found[name] = filter_patch(GEOMETRIES["kronecker"], patch, *sides, 1.0, FilterSettings())
    return found


def main(ranks: list[int]) -> None:
    """Train, measure and compare."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sizes = {"vocab_size": WORDS, "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 2}
    model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=6))
    harm, benign = language(1), language(2)
    losses = [train(model, [harm, benign], STEPS, 3)]
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    theirs = {rank: measured(model, benign, rank) for rank in (None, *ranks)}
    losses.append(train(model, [harm], MORE, 4))
    ours = {rank: measured(model, harm, rank) for rank in (None, *ranks)}
    names = [name for name in before if "_proj" in name]
    patches = {name: model.get_parameter(name).detach() - before[name] for name in names}
    dense = filtered(patches, ours[None], theirs[None])
    errors = {}
    for rank in ranks:
        cut = filtered(patches, ours[rank], theirs[rank])
        errors[rank] = [float((cut[name] - dense[name]).norm() / dense[name].norm()) for name in names]
    taken = [float((patches[name] - dense[name]).norm() / patches[name].norm()) for name in names]
    print(json.dumps({"errors": errors, "taken": taken, "losses": losses}))


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
