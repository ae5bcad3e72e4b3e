"""Texts are encoded once for all models of one tokenizer, and the tokens are the stock ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import apply_template, env
from tiny import VOCABULARY, tiny_llama, tiny_tokenizer

from sst_mergekit.evaluation import prompts_once as module
from sst_mergekit.evaluation.prompts_once import prompts_once

TEXTS = ("w1 w2", "<bos> w1", "w3 <eos> w4", "", " ", "w99 \u00e9", "w1  w2\n")


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_known", {})


def loaded(folder: Path, seed: int, vocabulary: list[str] = VOCABULARY, **settings: object) -> HFLM:
    path = tiny_llama(folder / f"model{seed}", seed=seed)
    tiny_tokenizer(path, vocabulary)
    return HFLM(pretrained=str(path), device="cpu", dtype="float32", **settings)


def encoded(lm: HFLM) -> list[list[int]]:
    """Every way in which lm-eval encodes a text."""
    found = []
    for text in TEXTS:
        found += [lm.tok_encode(text, add_special_tokens=added) for added in (None, True, False)]
        found.append(lm.tok_encode(text, left_truncate_len=1))
    return found


@pytest.mark.parametrize("settings", [{}, {"add_bos_token": True}])
def test_the_tokens_are_the_stock_ones(tmp_path: Path, settings: dict) -> None:
    lm = loaded(tmp_path, 0, **settings)
    stock, method = encoded(lm), HFLM.tok_encode
    with prompts_once():
        assert encoded(lm) == stock
        assert encoded(lm) == stock
        lm.tok_encode("w1 w2").append(7)  # what a caller does to a list stays with it
        assert encoded(lm) == stock
    assert HFLM.tok_encode is method


def test_a_second_model_encodes_nothing_and_another_tokenizer_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = loaded(tmp_path, 0), loaded(tmp_path, 1)
    turned = [*VOCABULARY[:4], *reversed(VOCABULARY[4:])]
    other = loaded(tmp_path, 2, turned)
    bos = loaded(tmp_path, 3, add_bos_token=True)
    expected = [lm.tok_encode("w1 w2") for lm in (first, second, other, bos)]
    assert expected[0] == expected[1] != expected[2]
    asked: list[str] = []
    for number, lm in enumerate((first, second, other, bos)):
        stock = lm.tokenizer.encode
        monkeypatch.setattr(
            lm.tokenizer, "encode", lambda *a, n=number, s=stock, **k: asked.append(n) or s(*a, **k)
        )
    for _ in range(2):
        with prompts_once():  # what was encoded in an earlier block is known too
            assert [lm.tok_encode("w1 w2") for lm in (first, second, other, bos)] == expected
    assert asked == [0, 2, 3]


def test_memory_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = loaded(tmp_path, 0)
    monkeypatch.setattr(module, "TOKENS_KEPT", 5)
    with prompts_once():
        for text in ("w1 w2", "w3 w4", "w5 w6", "w7"):
            assert lm.tok_encode(text) == lm.tok_encode(text)
        [kept] = module._known.values()
        assert (kept.tokens, len(kept.lists)) == (5, 3)
        loaded(tmp_path, 1, [*VOCABULARY, "more"]).tok_encode("w1")
    [kept] = module._known.values()  # the first tokenizer's lists made room
    assert kept.tokens == 1


def test_a_template_is_parsed_once() -> None:
    with prompts_once():
        assert apply_template("a {{b}}", {"b": 1}) == "a 1"
        assert apply_template("a {{b}}", {"b": 2}) == "a 2"
        assert env.from_string("a {{b}}") is env.from_string("a {{b}}")
    assert env.from_string("a {{b}}") is not env.from_string("a {{b}}")
