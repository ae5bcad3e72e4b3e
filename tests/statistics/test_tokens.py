import pytest
from tiny import tiny_tokenizer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

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


HEADED = "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}TAIL{% endfor %}"
HEADED += "{% if add_generation_prompt %}<s>assistant\n{% endif %}"


def of_characters(marks, template, **named):
    """A tokenizer of characters with special tokens and a chat template; nothing is lost in it."""
    letters = {character: number for number, character in enumerate(map(chr, range(10, 127)))}
    inner = Tokenizer(models.WordLevel(letters, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.add_special_tokens(marks)
    made = PreTrainedTokenizerFast(tokenizer_object=inner, **named)
    made.chat_template = template
    return made


@pytest.mark.parametrize(
    ("tail", "kept", "marks", "named"),
    [
        ("<|im_end|>\n", "<|im_end|>", ["<|im_end|>"], {"eos_token": "<|im_end|>"}),  # ChatML
        ("<|eot_id|>", "<|eot_id|>", ["<|eot_id|>", "<|end|>"], {"eos_token": "<|end|>"}),  # Llama 3
        ("<end_of_turn>\n", "<end_of_turn>", ["<end_of_turn>", "<eos>"], {"eos_token": "<eos>"}),  # Gemma
        ("</s></s>", "</s>", ["</s>"], {"eos_token": "</s>"}),
        (" </s>\n", " </s>", ["</s>"], {"eos_token": "</s>"}),
        ("\n\n", "\n\n", ["</s>"], {"eos_token": "</s>"}),
        ("[END]\n", "[END]\n", [], {}),  # a text like any other
        ("<e><e2>", "<e>", ["<e>", "<e2>"], {}),
        ("<e>>.", "<e>>", ["<e>", "<e>>"], {}),
    ],
)
@pytest.mark.parametrize("content", ["yes", " two\nlines ", "a<|im_end|>b</s>c", "a", "assistant"])
def test_the_response_ends_with_its_end_mark(tail, kept, marks, named, content):
    tokenizer = of_characters(marks, HEADED.replace("TAIL", tail), **named)
    talk = Conversation((("user", content), ("assistant", "no"), ("user", "a"), ("assistant", content)))
    sequence = tokenize(talk, tokenizer, 999, chat_template=True)
    response = tokenizer.convert_ids_to_tokens(sequence.ids[sequence.prompt_length :])
    assert "".join(response) == content + kept


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


OPENS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}.{% endfor %}"
OPENS += "{% if add_generation_prompt %}[assistant]<think>{% endif %}"


def test_a_response_stands_outside_the_block_of_thoughts_that_a_template_opens():
    tokenizer = of_characters([], OPENS)
    talk = Conversation((("user", "a"), ("assistant", "b")))
    sequence = tokenize(talk, tokenizer, 99, chat_template=True)
    text = tokenizer.convert_ids_to_tokens(sequence.ids)
    assert "".join(text[: sequence.prompt_length]) == "[user]a.[assistant]"
    assert "".join(text[sequence.prompt_length :]) == "b."


def test_a_role_that_the_template_refuses_is_told_with_its_row():
    refuses = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    tokenizer = of_characters([], refuses + "{{ m.content }}{% endfor %}")
    talk = Conversation((("system", "a"), ("user", "a"), ("assistant", "b")), "f.jsonl: row 3")
    with pytest.raises(DataError, match=r"f.jsonl: row 3: the chat template refuses .*system.*no system"):
        tokenize(talk, tokenizer, 99, chat_template=True)
