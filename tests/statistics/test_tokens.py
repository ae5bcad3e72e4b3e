import pytest
from tiny import tiny_tokenizer
from transformers import AutoTokenizer

from sst_mergekit.errors import DataError
from sst_mergekit.statistics.rows import Conversation
from sst_mergekit.statistics.tokens import IGNORED, Sequence, batches, pad, tokenize

TEMPLATE = (
    "{% for m in messages %}w{{ 20 if m['role'] == 'user' else 21 }} {{ m['content'] }} <eos> {% endfor %}"
    "{% if add_generation_prompt %}w21 {% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    loaded = AutoTokenizer.from_pretrained(tiny_tokenizer(tmp_path_factory.mktemp("tokenizer")))
    loaded.chat_template = TEMPLATE
    return loaded


TALK = Conversation((("user", "w1 w2"), ("assistant", "w3 w4")))


def words(tokenizer, sequence):
    return " ".join(tokenizer.convert_ids_to_tokens(sequence.ids))


def test_the_template_splits_prompt_and_response(tokenizer):
    sequence = tokenize(TALK, tokenizer, 64, chat_template=True)
    assert words(tokenizer, sequence) == "w20 w1 w2 <eos> w21 w3 w4 <eos>"
    assert sequence.prompt_length == 5


def test_without_a_template_the_response_ends_with_eos(tokenizer):
    sequence = tokenize(TALK, tokenizer, 64, chat_template=False)
    assert words(tokenizer, sequence).startswith("w1 w2 w3 w4")
    assert sequence.prompt_length == 2


def test_long_responses_are_cut_and_long_prompts_refused(tokenizer):
    assert len(tokenize(TALK, tokenizer, 6, chat_template=True).ids) == 6
    with pytest.raises(DataError, match="a prompt of 5 tokens leaves none of 5 .*--max-length"):
        tokenize(TALK, tokenizer, 5, chat_template=True)


def test_an_empty_tokenisation_is_refused(tokenizer):
    silent = Conversation((("user", "\n"), ("assistant", "\n")))
    with pytest.raises(DataError, match="for a response"):
        tokenize(silent, tokenizer, 64, chat_template=False)


def test_only_the_response_is_predicted():
    batch = pad([Sequence((5, 6, 7, 8), 2), Sequence((9, 10), 0)], "cpu")
    assert batch.labels.tolist() == [[IGNORED, 7, 8, IGNORED], [10, IGNORED, IGNORED, IGNORED]]
    assert batch.attention.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_batches_hold_every_sequence_once_the_longest_first():
    sequences = [Sequence(tuple(range(n)), 1) for n in (3, 9, 5, 7, 2)]
    sizes = [tuple(batch.ids.shape) for batch in batches(sequences, 2, "cpu")]
    assert sizes == [(2, 9), (2, 5), (1, 2)]
