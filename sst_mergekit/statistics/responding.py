"""Prompts without a written answer, answered by the model that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from sst_mergekit.errors import DataError, StatisticsError
from sst_mergekit.statistics.rows import Conversation


def respond(
    model: Any,
    tokenizer: Any,
    conversations: Sequence[Conversation],
    max_new_tokens: int,
    batch_size: int = 8,
    progress: bool = True,
) -> list[Conversation]:
    """Return the conversations with the model's own greedy answers where they have none.

    Args:
        model: in eval mode.
        tokenizer: with a chat template.
        conversations: answered or not.
        max_new_tokens: of an answer; a longer one is cut.
        batch_size: prompts at a time.
        progress: show a bar.

    Raises:
        StatisticsError: the tokenizer has no chat template, so nothing says where an answer begins.
        DataError: an answer is empty.
    """
    open_ = [number for number, each in enumerate(conversations) if not each.answered]
    if not open_:
        return list(conversations)
    if not tokenizer.chat_template:
        raise StatisticsError(
            "--respond: the tokenizer has no chat template, which prompts need; give responses"
        )
    done = list(conversations)
    texts = {
        number: tokenizer.apply_chat_template(
            conversations[number].as_dicts(), add_generation_prompt=True, tokenize=False
        )
        for number in open_
    }
    order = sorted(open_, key=lambda number: -len(texts[number]))
    with tqdm(total=len(order), unit="answer", desc="respond", disable=not progress) as bar:
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            answers = _answers(model, tokenizer, [texts[number] for number in batch], max_new_tokens)
            for number, answer in zip(batch, answers, strict=True):
                if not answer.strip():
                    raise DataError(
                        f"--respond: the model's answer to prompt {number + 1} is empty; remove it"
                    )
                done[number] = Conversation((*conversations[number].messages, ("assistant", answer)))
            bar.update(len(batch))
    return done


def _answers(model: Any, tokenizer: Any, texts: list[str], max_new_tokens: int) -> list[str]:
    """Return greedy continuations of texts; padded on the left, whatever the tokenizer's own side is."""
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
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
