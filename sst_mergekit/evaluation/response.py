"""What a reader sees of a model's response, and whether that is a text at all."""

from __future__ import annotations

import re
from typing import Literal

from sst_mergekit.evaluation.repetition import is_repeated
from sst_mergekit.evaluation.script import is_off_script, wide, wide_letters

Degeneration = Literal["empty", "repeated", "off_script", "truncated"]

_THINKING = re.compile(
    r"<(think|thinking|thought|reasoning|scratchpad)>.*?(?:</\1>|\Z)"
    r"|\[THINK\].*?(?:\[/THINK\]|\Z)"
    r"|<\|channel\|>analysis<\|message\|>.*?(?:<\|end\|>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_THINKING_END = re.compile(
    r"\A.*(?:</(?:think|thinking|thought|reasoning|scratchpad)>|\[/THINK\])", re.DOTALL | re.IGNORECASE
)
_CLOSING = ("</think>", "</thinking>", "</thought>", "</reasoning>", "</scratchpad>", "[/think]", "<|end|>")
_MARKS = re.compile(
    r"<\|start_header_id\|>\w*<\|end_header_id\|>"  # Llama 3
    r"|<\|im_start\|>\w*|<start_of_turn>\w*"  # ChatML, Gemma
    r"|<\|(?:start|channel)\|>\w*"  # harmony
    r"|<[|\uff5c][^<>|\uff5c]{1,40}[|\uff5c]>|<(?:end_of_turn|bos|eos|pad)>|</?s>|\[/?INST\]"
)
_ROLE = re.compile(r"\A\s*(?:###\s*)?(?:assistant|model|response|answer)\s*(?::|\n)\s*", re.IGNORECASE)

MIN_WORDS_BEFORE_MORE = 8
MIN_WORDS_AT_LIMIT = 4
_WORD = re.compile(r"\w+")
_MORE = re.compile(r"(?:[,:、，：「『\u201c«（\[]|(?<![:;=-])\()\Z")
_SENTENCE_END = re.compile(r"[.!?…。！？]\W*\Z")


def without_thinking(response: str) -> str:
    """Return `response` without thinking blocks; one that never closes swallows the rest.

    >>> without_thinking("<think>Is it safe?</think>    return 1")
    '    return 1'
    """
    return _THINKING_END.sub("", _THINKING.sub("", response))


def visible_text(response: str) -> str:
    """Return `response` without thinking blocks, chat marks and a leading role name.

    >>> visible_text("<think>Is it safe?</think><|assistant|>Sure.<|end|>")
    'Sure.'
    """
    text = _MARKS.sub("", without_thinking(response))
    return _ROLE.sub("", text).strip()


def degeneration(
    response: str, prompt: str | None = None, finished: bool | None = None
) -> Degeneration | None:
    """Return in which way the visible text is no answer at all, or None where it is one.

    - ``off_script``: written in signs of no use here, see `script.is_off_script`; `prompt`, where given,
      says which scripts are of use.
    - ``empty``: no letter and no digit.
    - ``repeated``: little but repetition, see `repetition.is_repeated`.
    - ``truncated``: cut before anything was said. Only a thinking block that never closes; or fewer than 8
      words that end on a mark calling for more (a comma, a colon, an opening bracket); or, where the
      generation is known to have been stopped by its limit (`finished` is False), fewer than 4 words and no
      end of a sentence. Two letters of Chinese, Japanese, Korean or Thai stand for a word. A longer
      answer cut in mid-sentence is not degenerate: most of 64 tokens are.

    The first that holds, in this order, is returned. Fluent nonsense is not seen.

    >>> degeneration("..."), degeneration("no no no no no"), degeneration("I'm sorry,")
    ('empty', 'repeated', 'truncated')
    >>> degeneration("Привет, как дела?", prompt="How are you?"), degeneration("I cannot help with that.")
    ('off_script', None)
    """
    text = visible_text(response)
    if is_off_script(text, prompt):
        return "off_script"
    if not any(character.isalnum() for character in text):
        return "truncated" if _thinks_to_the_end(response) else "empty"
    if is_repeated(text):
        return "repeated"
    return "truncated" if _is_cut(text, finished) else None


def is_degenerate(response: str, prompt: str | None = None, finished: bool | None = None) -> bool:
    """Return whether the response is no answer and no refusal: whether it has a `degeneration`.

    >>> is_degenerate("..."), is_degenerate("no no no no no"), is_degenerate("I cannot help with that.")
    (True, True, False)
    """
    return degeneration(response, prompt, finished) is not None


def _thinks_to_the_end(response: str) -> bool:
    blocks = [block.group() for block in _THINKING.finditer(response)]
    return bool(blocks) and not blocks[-1].lower().endswith(_CLOSING)


def _is_cut(text: str, finished: bool | None) -> bool:
    words = sum(not wide(word[0]) for word in _WORD.findall(text)) + wide_letters(text) // 2
    if words < MIN_WORDS_BEFORE_MORE and _MORE.search(text):
        return True
    return finished is False and words < MIN_WORDS_AT_LIMIT and not _SENTENCE_END.search(text)
