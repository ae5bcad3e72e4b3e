"""A word-level tokenizer with a chat template that gives every text back exactly, code included."""

from __future__ import annotations

import string
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

USER, ASSISTANT, END, PAD = "<|user|>", "<|assistant|>", "<|end|>", "<|pad|>"
PIECES = "|".join(
    (
        r"\n[A-D]\.",  # the mark of a choice
        r"\n *",  # a line break with the next line's indentation
        r" {2,}",
        r'"""',
        r" ?[A-Za-z]+(?:'[a-z]+)?",
        r" ?[0-9]+",
        r" ?[^\sA-Za-z0-9]",
        r"\s",
    )
)
# This small chat has no system messages: one that is given is left out.
CHAT_TEMPLATE = (
    "{% for message in messages if message['role'] != 'system' %}"
    "{{ '<|assistant|>' if message['role'] == 'assistant' else '<|user|>' }}"
    "{{ message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def pieces(text: str) -> list[str]:
    r"""Return the pieces of `text`; joined they are `text` again.

    >>> pieces("def f(x):\n    return x + 12")
    ['def', ' f', '(', 'x', ')', ':', '\n    ', 'return', ' x', ' +', ' 12']
    """
    splitter = pre_tokenizers.Split(Regex(PIECES), "isolated")
    return [piece for piece, _ in splitter.pre_tokenize_str(text)]


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Return a tokenizer whose words are the pieces of `texts`, with single characters to fall back on.

    A byte-pair model without merges takes a piece whole if it is in the vocabulary and letter by letter
    otherwise, so that no printable text is lost. Decoding joins the pieces and changes nothing.
    """
    words = sorted({piece for text in texts for piece in pieces(text)} | set(string.printable[:96] + "\n"))
    vocabulary = {word: index for index, word in enumerate((PAD, USER, ASSISTANT, END, *words))}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(PIECES), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[USER, ASSISTANT],
        clean_up_tokenization_spaces=False,
        model_max_length=256,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
