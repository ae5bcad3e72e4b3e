"""Whether a text is little but repetition: of a word, a letter, a phrase, or of few words over and over."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import ceil

from sst_mergekit.evaluation.script import prose_of, wide

MAX_WORD_RUN = 4
MAX_NUMBER_RUN = 11
STRETCH = 100  # words or wide letters judged at a time, for long texts repeat more words
MIN_WORDS_TO_JUDGE = 12
MIN_DISTINCT_SHARE = 0.3
MIN_WIDE_TO_JUDGE = 30
MIN_DISTINCT_WIDE_SHARE = 0.15
LOOPS = 4
LOOPS_IN_CODE = 8
MIN_LOOP_BYTES = 36
_TAIL = 2000  # characters at the end in which a loop is looked for

_WORD = re.compile(r"\w+")
_LETTER_RUN = re.compile(r"([^\W\d_]|[!?])\1{11,}")
_SIGN_RUN = re.compile(r"(\S)\1{79,}")


def is_repeated(text: str) -> bool:
    """Return whether `text` repeats itself.

    - One word more than 4 times in a row, or one number more than 11 times.
    - One letter, "!" or "?" 12 times in a row; any other sign, as in a rule or a blank to fill in, 80 times.
    - A phrase 4 times in a row at the end of the text, of 36 bytes in all, with a letter in it.
    - In a stretch of up to 100 words, at least 12, fewer than 3 distinct in 10; in a stretch of up to 100
      letters of scripts without blanks, at least 30, fewer than 15 distinct in 100.

    Tables and fenced code repeat by nature: in them only a phrase 8 times in a row at the end counts.

    >>> is_repeated("I will. I will. I will. I will. I will. I will."), is_repeated("我不能。" * 4)
    (True, True)
    >>> is_repeated("| yes | yes | yes | yes | yes | yes |"), is_repeated("ten is 1000000000000 over 10**11")
    (False, False)
    """
    prose = prose_of(text)
    if _LETTER_RUN.search(prose) or _SIGN_RUN.search(prose):
        return True
    if _loops(prose, LOOPS) or _loops(text, LOOPS_IN_CODE):
        return True
    tokens = _WORD.findall(prose.casefold())
    words = [token for token in tokens if token.strip("_0123456789")]
    if _longest_run(words) > MAX_WORD_RUN or _longest_run(tokens) > MAX_NUMBER_RUN:
        return True
    letters = [] if prose.isascii() else [character for character in prose if wide(character)]
    return _is_poor(words, MIN_WORDS_TO_JUDGE, MIN_DISTINCT_SHARE) or _is_poor(
        letters, MIN_WIDE_TO_JUDGE, MIN_DISTINCT_WIDE_SHARE
    )


def _loops(text: str, times: int) -> bool:
    """Whether the end of `text` is a phrase at least `times` over, but for one sign that may be cut off."""
    tail = text.strip()[-_TAIL:]
    for period in range(1, len(tail) // (times - 1) + 1):
        if tail[-1] != tail[-1 - period : len(tail) - period]:
            continue
        unit = tail[-period:]
        length = max(times, ceil(MIN_LOOP_BYTES / len(unit.encode("utf-8", "replace")))) * period - 1
        periodic = period < length <= len(tail) and tail[-length:-period] == tail[period - length :]
        if periodic and any(character.isalpha() for character in unit):
            return True
    return False


def _is_poor(items: Sequence[str], least: int, share: float) -> bool:
    return any(len(set(part)) < share * len(part) for part in _stretches(items) if len(part) >= least)


def _stretches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + STRETCH] for start in range(0, len(items), STRETCH))


def _longest_run(words: Sequence[str]) -> int:
    longest = run = 0
    previous = None
    for word in words:
        run = run + 1 if word == previous else 1
        longest, previous = max(longest, run), word
    return longest
