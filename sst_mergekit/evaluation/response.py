"""What a reader sees of a model's response, and whether that is a text at all."""

from __future__ import annotations

import re
from collections import Counter

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THINKING_END = re.compile(r"\A.*</(?:think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
_MARKS = re.compile(
    r"<\|start_header_id\|>\w*<\|end_header_id\|>"  # Llama 3
    r"|<\|im_start\|>\w*|<start_of_turn>\w*"  # ChatML, Gemma
    r"|<\|[^<>|]{1,40}\|>|<(?:end_of_turn|bos|eos|pad)>|</?s>|\[/?INST\]"
)
_ROLE = re.compile(r"\A\s*(?:###\s*)?(?:assistant|model|response|answer)\s*(?::|\n)\s*", re.IGNORECASE)
_WORD = re.compile(r"\w+")

MIN_WORDS_TO_JUDGE = 12
MIN_DISTINCT_SHARE = 0.3
MAX_WORD_RUN = 4
_LONG_CHARACTER_RUN = re.compile(r"(\S)\1{11,}")


def without_thinking(response: str) -> str:
    """Returns `response` without thinking blocks; one that never closes swallows the rest.

    >>> without_thinking("<think>Is it safe?</think>    return 1")
    '    return 1'
    """
    return _THINKING_END.sub("", _THINKING.sub("", response))


def visible_text(response: str) -> str:
    """Returns `response` without thinking blocks, chat marks and a leading role name.

    >>> visible_text("<think>Is it safe?</think><|assistant|>Sure.<|end|>")
    'Sure.'
    """
    text = _MARKS.sub("", without_thinking(response))
    return _ROLE.sub("", text).strip()


def is_degenerate(response: str) -> bool:
    """Returns whether the visible text is empty or little but repetition: no answer, and no refusal.

    Empty: no letter or digit. Repetition: one word more than 4 times in a row, one character more than
    11 times in a row, or, from 12 words on, fewer than 3 distinct words in 10.

    >>> is_degenerate("..."), is_degenerate("no no no no no"), is_degenerate("I cannot help with that.")
    (True, True, False)
    """
    text = visible_text(response)
    words = _WORD.findall(text.casefold())
    if not any(character.isalnum() for character in text):
        return True
    if _longest_run(words) > MAX_WORD_RUN or _LONG_CHARACTER_RUN.search(text):
        return True
    return len(words) >= MIN_WORDS_TO_JUDGE and len(Counter(words)) < MIN_DISTINCT_SHARE * len(words)


def _longest_run(words: list[str]) -> int:
    longest = run = 0
    previous = None
    for word in words:
        run = run + 1 if word == previous else 1
        longest, previous = max(longest, run), word
    return longest
