"""Fitting a causal language model to exchanges in its chat template: small, plain and repeatable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from sst_mergekit.testbeds.tiny.text import Row
from sst_mergekit.testbeds.tiny.world import BATCH

Exchange = tuple[list[int], int]  # the tokens of an exchange, and where its response starts


def encode(rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase) -> list[Exchange]:
    """Return each exchange as tokens in the chat template, with the position of its response."""
    exchanges = []
    for row in rows:
        user = {"role": "user", "content": row["prompt"]}
        answer = {"role": "assistant", "content": row["response"]}
        head = str(tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True))
        whole = str(tokenizer.apply_chat_template([user, answer], tokenize=False))
        start = len(tokenizer(head, add_special_tokens=False)["input_ids"])
        exchanges.append((tokenizer(whole, add_special_tokens=False)["input_ids"], start))
    return exchanges


def batches(exchanges: Sequence[Exchange], steps: int, seed: int) -> Iterator[list[Exchange]]:
    """Yield `steps` batches; lengths within one are alike, and epochs are shuffled."""
    generator = torch.Generator().manual_seed(seed)
    left = steps
    while left:
        order = torch.randperm(len(exchanges), generator=generator).tolist()
        chunks = [order[i : i + 8 * BATCH] for i in range(0, len(order), 8 * BATCH)]
        epoch: list[list[int]] = []
        for chunk in chunks:
            chunk.sort(key=lambda i: len(exchanges[i][0]))
            epoch += [chunk[i : i + BATCH] for i in range(0, len(chunk), BATCH)]
        for index in torch.randperm(len(epoch), generator=generator).tolist()[:left]:
            left -= 1
            yield [exchanges[i] for i in epoch[index]]


def response_loss(model: nn.Module, batch: Sequence[Exchange]) -> Tensor:
    """Return the mean loss over the response tokens of `batch`."""
    longest = max(len(tokens) for tokens, _ in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    wanted = torch.zeros(len(batch), longest, dtype=torch.bool)
    for i, (tokens, start) in enumerate(batch):
        ids[i, : len(tokens)] = torch.tensor(tokens)
        wanted[i, start : len(tokens)] = True
    llama: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    hidden = llama.model(input_ids=ids, use_cache=False).last_hidden_state  # padding is on the right
    logits = llama.lm_head(hidden[:, :-1][wanted[:, 1:]])
    return nn.functional.cross_entropy(logits, ids[:, 1:][wanted[:, 1:]])


def fit(model: nn.Module, exchanges: Sequence[Exchange], *, steps: int, lr: float, seed: int) -> None:
    """Trains `model` in place by AdamW with a short warm-up and a linear decay."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01, betas=(0.9, 0.98))
    warm_up = max(1, steps // 20)
    model.train()
    for step, batch in enumerate(batches(exchanges, steps, seed)):
        rate = lr * min((step + 1) / warm_up, (steps - step) / (steps - warm_up + 1))
        for group in optimiser.param_groups:
            group["lr"] = rate
        loss = response_loss(model, batch)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
    model.eval()
