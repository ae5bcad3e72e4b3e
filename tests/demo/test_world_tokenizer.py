"""The world's tokenizer: every text comes back exactly, from memory and from disk."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaConfig

from sst_mergekit.testbeds.tiny.content import make_world
from sst_mergekit.testbeds.tiny.data import BASE, BENIGN, UTILITY, draw_rows, safety_course, vocabulary_texts
from sst_mergekit.testbeds.tiny.splits import Counts, draw_splits
from sst_mergekit.testbeds.tiny.tokenizer import build_tokenizer, pieces

SAFETY = safety_course(0.15)


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(vocabulary_texts())


@pytest.fixture(scope="module")
def loaded(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    LlamaConfig(vocab_size=len(tokenizer)).save_pretrained(folder)  # AutoTokenizer looks at the model's type
    return AutoTokenizer.from_pretrained(folder)


def texts_of(seed: int) -> set[str]:
    world = make_world(seed)
    courses = (BASE, UTILITY, SAFETY, BENIGN)
    taught = [row for c in courses for row in draw_rows(world, c, 1500, set(), random.Random(seed))]
    texts = {text for row in taught for text in row.values()}
    for split in draw_splits(world, seed, Counts(168, 90, 160, 64)):
        texts |= split.prompts | {task.body + task.test for task in split.programs}
    return texts


@pytest.mark.parametrize("seed", [0, 1])
def test_every_text_of_the_world_comes_back(loaded, seed):
    for text in texts_of(seed):
        ids = loaded(text, add_special_tokens=False)["input_ids"]
        assert loaded.decode(ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_vocabulary_holds_every_piece_whole(tokenizer, seed):
    vocabulary = tokenizer.get_vocab()
    world = make_world(seed)
    for course in (BASE, UTILITY, SAFETY):
        for row in draw_rows(world, course, 1000, set(), random.Random(seed)):
            for text in row.values():
                assert set(pieces(text)) <= set(vocabulary)


def test_the_vocabulary_is_the_same_for_all_and_small(tokenizer):
    assert tokenizer.get_vocab() == build_tokenizer(vocabulary_texts()).get_vocab()
    assert len(tokenizer) < 600


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\n"), max_size=60))
def test_any_printable_text_comes_back(text):
    tokenizer = build_tokenizer(["def f(x):\n    return x"])
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_code_keeps_its_indentation(loaded):
    code = 'def f(x):\n    """Add 3 to x."""\n    if x > 2:\n        return (x + 3) * 2\n    return "a  b"\n'
    assert loaded.decode(loaded(code)["input_ids"]) == code


def test_the_chat_template_marks_turns_and_leaves_system_messages_out(loaded):
    turns = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "How?"},
        {"role": "assistant", "content": "So."},
    ]
    whole = loaded.apply_chat_template(turns, tokenize=False)
    assert whole == "<|user|>How?<|end|><|assistant|>So.<|end|>"
    head = loaded.apply_chat_template(turns[:2], tokenize=False, add_generation_prompt=True)
    assert head == "<|user|>How?<|end|><|assistant|>"
    assert loaded.decode(loaded(whole, add_special_tokens=False)["input_ids"][-1:]) == loaded.eos_token


def test_special_marks_are_single_tokens(loaded):
    ids = loaded("<|user|>How?<|end|>", add_special_tokens=False)["input_ids"]
    assert ids[0] == loaded.convert_tokens_to_ids("<|user|>")
    assert ids[-1] == loaded.eos_token_id != loaded.pad_token_id
