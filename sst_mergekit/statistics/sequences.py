"""From a data set to the sequences of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sst_mergekit.errors import StatisticsError
from sst_mergekit.statistics.loading import load_tokenizer
from sst_mergekit.statistics.rows import Conversation, Source, read_conversations
from sst_mergekit.statistics.settings import ModelSpec
from sst_mergekit.statistics.tokens import Sequence, tokenize

# (tokenizer, conversations, whether its chat template is used) -> all answered
Answer = Callable[[Any, list[Conversation], bool], list[Conversation]]


@dataclass(frozen=True)
class Read:
    """Conversations, their tokens, and whether the tokenizer's chat template was used."""

    conversations: list[Conversation]
    sequences: list[Sequence]
    templated: bool


def read_sequences(
    spec: ModelSpec,
    source: Source | Iterable[Source],
    samples: int | None,
    seed: int,
    max_length: int,
    chat_template: bool | None,
    answer: Answer | None = None,
) -> Read:
    """Return the conversations that the seed chooses, and their tokens.

    Args:
        spec: whose tokenizer.
        source: prompts and responses, in one place or several.
        samples: how many; None for all.
        seed: chooses them.
        max_length: tokens of one sequence; longer ones are cut.
        chat_template: use the tokenizer's; None: where it has one.
        answer: gives responses to conversations that have none; None: each must have one.

    Raises:
        DataError: the data cannot be read.
        StatisticsError: there is no tokenizer, or it has no chat template.
    """
    conversations = read_conversations(source, samples, seed, unanswered=answer is not None)
    tokenizer = load_tokenizer(spec)
    templated = bool(tokenizer.chat_template) if chat_template is None else chat_template
    if templated and not tokenizer.chat_template:
        raise StatisticsError(f"{spec.model}: its tokenizer has no chat template; give --no-chat-template")
    if answer is not None:
        conversations = answer(tokenizer, conversations, templated)
    sequences = [tokenize(each, tokenizer, max_length, templated) for each in conversations]
    return Read(conversations, sequences, templated)
