"""From conversations to padded batches in which only the response is predicted."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sst_mergekit.errors import DataError
from sst_mergekit.statistics.rows import Conversation
from sst_mergekit.statistics.team import Team

IGNORED = -100  # the label that cross_entropy leaves out


@dataclass(frozen=True)
class Sequence:
    """Token ids, of which the first ``prompt_length`` are the prompt."""

    ids: tuple[int, ...]
    prompt_length: int

    @property
    def predicted(self) -> int:
        """Return how many response tokens are predicted: nothing predicts a sequence's first token."""
        return len(self.ids) - max(self.prompt_length, 1)


@dataclass(frozen=True)
class Batch:
    """Right-padded sequences.

    Attributes:
        ids, attention: [batch, time].
        labels: [batch, time], the token to predict from each position, IGNORED outside responses.
        numbers: which sequence of the data each row is.
    """

    ids: Tensor
    attention: Tensor
    labels: Tensor
    numbers: tuple[int, ...] = ()


def tokenize(conversation: Conversation, tokenizer: Any, max_length: int, chat_template: bool) -> Sequence:
    """Return the ids of prompt and response, cut to ``max_length``.

    With a chat template the prompt ends with the template's generation prompt and the response with its
    end mark; without one the texts are joined by a newline and the response ends with the end-of-sequence
    token. A generation prompt that opens a block of thoughts, which the template does not write before an
    answer that is given, ends where the two part: the response stands outside of the block.

    Raises:
        DataError: the template refuses the messages, or nothing of the response is left within
            ``max_length``.
    """
    if chat_template:
        prompt, whole = _rendered(conversation, tokenizer)
        prompt = os.path.commonprefix([prompt, whole])
        response = _to_end_mark(whole[len(prompt) :], conversation.messages[-1][1], tokenizer)
        start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    else:
        response = conversation.messages[-1][1] + _eos(tokenizer)
        start = prompt_ids(conversation.messages[:-1], tokenizer, chat_template)
    ids = start + tokenizer(response, add_special_tokens=False)["input_ids"]
    if max(len(start), 1) >= min(len(ids), max_length):
        raise DataError(
            f"{_at(conversation)}a prompt of {len(start)} tokens leaves none of {max_length} for a response; "
            "raise --max-length"
        )
    return Sequence(tuple(ids[:max_length]), len(start))


def _rendered(conversation: Conversation, tokenizer: Any) -> tuple[str, str]:
    """Return the texts of the prompt, with the template's generation prompt, and of the whole."""
    from jinja2 import TemplateError

    messages = conversation.as_dicts()
    try:
        prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
        return prompt, tokenizer.apply_chat_template(messages, tokenize=False)
    except (TemplateError, TypeError) as error:
        roles = ", ".join(role for role, _ in conversation.messages)
        raise DataError(
            f"{_at(conversation)}the chat template refuses messages of {roles} "
            f"({' '.join(str(error).split())}); mend the row, or give --no-chat-template"
        ) from None


def _at(conversation: Conversation) -> str:
    return f"{conversation.where}: " if conversation.where else ""


def prompt_ids(messages: Iterable[tuple[str, str]], tokenizer: Any, chat_template: bool) -> list[int]:
    """Return the ids after which a response begins, of messages (role, content)."""
    if chat_template:
        turns = [{"role": role, "content": content} for role, content in messages]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        return tokenizer(prompt, add_special_tokens=False)["input_ids"]
    start = tokenizer("\n".join(content for _, content in messages) + "\n")["input_ids"]
    return start[:-1] if start and start[-1] == tokenizer.eos_token_id else start


def _to_end_mark(rendered: str, content: str, tokenizer: Any) -> str:
    """Return a rendered response up to the first special token after its content: its end mark.

    A model stops there; what templates write between two turns is no part of the answer.
    """
    start = rendered.find(content.strip())
    mark = _special(tokenizer).search(rendered, start + len(content.strip())) if start >= 0 else None
    return rendered[: mark.end()] if mark else rendered


@functools.lru_cache(maxsize=1)
def _special(tokenizer: Any) -> re.Pattern[str]:
    """Return what finds a special token, the longest of those that begin alike."""
    added = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    marks = sorted({*added, *tokenizer.all_special_tokens} - {""}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, marks)) or "(?!)")  # without any, what is found nowhere


def _eos(tokenizer: Any) -> str:
    return tokenizer.eos_token or ""


def batches(
    sequences: list[Sequence],
    size: int,
    device: str,
    team: Team = Team(),  # noqa: B008 (frozen)
) -> Iterator[Batch]:
    """Yield this process's batches, the longest sequences first, so that memory runs out at once or never."""
    ordered = team.share(sorted(range(len(sequences)), key=lambda number: -len(sequences[number].ids)))
    for start in range(0, len(ordered), size):
        numbers = tuple(ordered[start : start + size])
        batch = pad([sequences[number] for number in numbers], device)
        yield dataclasses.replace(batch, numbers=numbers)


def pad(sequences: list[Sequence], device: str) -> Batch:
    """Return one right-padded batch; a position's label is the next token."""
    length = max(len(s.ids) for s in sequences)
    ids = torch.zeros(len(sequences), length, dtype=torch.long)
    attention = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, sequence in enumerate(sequences):
        n = len(sequence.ids)
        tokens = torch.tensor(sequence.ids)
        ids[row, :n] = tokens
        attention[row, :n] = 1
        first = max(sequence.prompt_length, 1)  # nothing predicts a sequence's first token
        labels[row, first - 1 : n - 1] = tokens[first:]
    return Batch(ids.to(device), attention.to(device), labels.to(device))
