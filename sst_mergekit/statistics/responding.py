"""Prompts without a written answer, answered by the model that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from sst_mergekit.errors import DataError
from sst_mergekit.statistics.rows import Conversation
from sst_mergekit.statistics.tokens import prompt_ids


def respond(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Conversation],
    chat_template: bool,
    max_new_tokens: int,
    batch_size: int = 8,
    progress: bool = True,
) -> list[Conversation]:
    """Return the conversations with the model's own greedy answers where they have none.

    Args:
        model: in eval mode.
        tokenizer: the model's.
        conversations: answered or not.
        chat_template: use the tokenizer's; without it a prompt ends with a newline, as in `tokenize`.
        max_new_tokens: of an answer; a longer one is cut.
        batch_size: prompts at a time.
        progress: show a bar.

    Raises:
        DataError: an answer is empty.
    """
    open_ = [number for number, each in enumerate(conversations) if not each.answered]
    if not open_:
        return list(conversations)
    done = list(conversations)
    prompts = {n: prompt_ids(conversations[n].messages, tokenizer, chat_template) for n in open_}
    order = sorted(open_, key=lambda number: -len(prompts[number]))
    with tqdm(total=len(order), unit="answer", desc="respond", disable=not progress) as bar:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            answers = _answers(model, tokenizer, [prompts[number] for number in batch], max_new_tokens)
            for number, answer in zip(batch, answers, strict=True):
                if not answer.strip():
                    raise DataError(
                        f"--respond: the model's answer to prompt {number + 1} is empty; remove it"
                    )
                done[number] = Conversation((*conversations[number].messages, ("assistant", answer)))
            bar.update(len(batch))
    return done


def _answers(model: Any, tokenizer: Any, ids: list[list[int]], max_new_tokens: int) -> list[str]:
    """Return greedy continuations of prompts; padded on the left, whatever the tokenizer's own side is."""
    longest = max(map(len, ids))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    rows = torch.tensor([[pad] * (longest - len(row)) + row for row in ids], device=model.device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in ids], device=model.device)
    with torch.no_grad():
        out = model.generate(
            input_ids=rows,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            pad_token_id=pad,
        )
    return [text.strip() for text in tokenizer.batch_decode(out[:, longest:], skip_special_tokens=True)]
