"""Has lm-eval prepare once what every model of a sweep is asked: parsed templates, and prompts as tokens."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

TOKENS_KEPT = 1 << 25  # of one tokenizer, 4 bytes each; what comes later is encoded anew each time
TEMPLATES_KEPT = 256


@dataclass
class _Encoded:
    """Token lists of one tokenizer, by a digest of the text and of whether special tokens were added."""

    lists: dict[bytes, array[int]] = field(default_factory=dict)
    tokens: int = 0

    def encode(self, stock: Any, lm: Any, text: str, add_special_tokens: bool | None) -> list[int]:
        """Returns what `stock` returns, from memory if it was asked before."""
        key = hashlib.blake2b(f"{add_special_tokens} {text}".encode("utf-8", "surrogatepass")).digest()
        known = self.lists.get(key)
        if known is not None:
            return known.tolist()
        found = stock(lm, text, add_special_tokens=add_special_tokens)
        if self.tokens + len(found) <= TOKENS_KEPT:
            self.lists[key] = array("i", found)
            self.tokens += len(found)
        return found


@contextmanager
def prompts_once() -> Iterator[None]:
    """Inside, lm-eval's ``hf`` models encode no text that one with an equal tokenizer has encoded before.

    The tokens, and so every number, are the stock ones. They are remembered after the block too.
    """
    from lm_eval.models.huggingface import HFLM
    from lm_eval.utils import env

    stock, stock_from_string = HFLM.tok_encode, env.from_string

    def tok_encode(
        self: Any,
        string: str,
        add_special_tokens: bool | None = None,
        left_truncate_len: int | None = None,
        **kwargs: Any,
    ) -> list[int]:
        encoded = None if left_truncate_len or kwargs else _encoded_by(self)
        if encoded is None:
            return stock(self, string, add_special_tokens, left_truncate_len, **kwargs)
        return encoded.encode(stock, self, string, add_special_tokens)

    HFLM.tok_encode = tok_encode
    env.from_string = lru_cache(TEMPLATES_KEPT)(stock_from_string)
    try:
        yield
    finally:
        HFLM.tok_encode = stock
        env.from_string = stock_from_string


_known: dict[str, _Encoded] = {}  # by tokenizer
_MARK = "_sst_mergekit_tokenizer"


def _encoded_by(lm: Any) -> _Encoded | None:
    """Returns what tokenizers equal to that of `lm` have encoded; None if they cannot be compared."""
    name = lm.__dict__.get(_MARK)
    if name is None:
        name = lm.__dict__[_MARK] = _identity(lm)
    if not name:
        return None
    if name not in _known:
        if sum(encoded.tokens for encoded in _known.values()) > TOKENS_KEPT // 2:
            _known.clear()
        _known[name] = _Encoded()
    return _known[name]


def _identity(lm: Any) -> str:
    """Returns a hash of everything that a model's token lists depend on; "" for slow tokenizers."""
    tokenizer = lm.tokenizer
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if not hasattr(fast, "to_str"):
        return ""
    special = (tokenizer.special_tokens_map, tokenizer.split_special_tokens)
    parts = (type(tokenizer), fast.to_str(), *special, lm.add_bos_token, lm.prefix_token_id)
    return hashlib.sha256("\n".join(map(repr, parts)).encode("utf-8", "surrogatepass")).hexdigest()
