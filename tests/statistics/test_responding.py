"""`fisher --respond` and several `--data`, through the command."""

import json

import pytest
import torch
from click.testing import CliRunner
from test_tokens import TEMPLATE
from tiny import tiny_data, tiny_llama
from transformers import AutoModelForCausalLM, AutoTokenizer

from sst_mergekit.cli import main
from sst_mergekit.statistics.rows import Conversation, content_hash
from sst_mergekit.statistics.store import open_statistics

PROMPTS = ("w1 w2 w3", "w6", "w12 w13 w14 w15 w2 w9", "w7 w7", "w3", "w19 w4 w4 w4", "w22 w11", "w8 w1 w8")
TOKENS = 5
ANSWERED = {"prompt": "w5 w5", "response": "w26 w27"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model that answers in words of its own, one without a template, and prompts."""
    folder = tmp_path_factory.mktemp("responding")
    tiny_llama(folder / "bare", 0)
    tiny_llama(folder / "chat", 3, initializer_range=0.5)
    tokenizer = AutoTokenizer.from_pretrained(folder / "chat")
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder / "chat")
    rows = [{"prompt": prompt} for prompt in PROMPTS]
    lines(folder / "prompts.jsonl", [*rows[:3], ANSWERED, *rows[3:]])
    return folder


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def fisher(world, out, *more, model="chat", data=("prompts.jsonl",)):
    arguments = ["fisher", "--model", str(world / model), "--out", str(out), "--device", "cpu", "--quiet"]
    for each in data:
        arguments += ["--data", str(world / each)]
    return CliRunner().invoke(main, [*arguments, "--kind", "diagonal", "--labels", "given", *more])


def measured(world, out, *more, **where):
    result = fisher(world, out, *more, **where)
    assert result.exit_code == 0, result.output
    return open_statistics(str(out))


def conversation(prompt, response):
    return Conversation((("user", prompt), ("assistant", response)))


def greedy(world):
    """What the model answers, a prompt at a time and a word at a time, without `generate`."""
    model = AutoModelForCausalLM.from_pretrained(world / "chat").eval()
    tokenizer = AutoTokenizer.from_pretrained(world / "chat")
    answers = []
    for prompt in PROMPTS:
        ids = tokenizer(f"w20 {prompt} <eos> w21")["input_ids"]
        start = len(ids)
        while len(ids) < start + TOKENS and (len(ids) == start or ids[-1] != tokenizer.eos_token_id):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
        answers.append(tokenizer.decode(ids[start:], skip_special_tokens=True))
    return answers


@pytest.mark.parametrize("batch_size", ["1", "8"])
def test_the_model_answers_what_has_no_response(world, tmp_path, batch_size):
    store = measured(world, tmp_path / "out", "--respond", str(TOKENS), "--batch-size", batch_size)
    answers = greedy(world)
    assert len(set(answers)) > 3
    rows = [conversation(*pair) for pair in zip(PROMPTS, answers, strict=True)]
    rows.insert(3, conversation(*ANSWERED.values()))  # keeps its own
    assert store.manifest.data["respond"] == TOKENS
    assert store.manifest.data["sha256"] == content_hash(rows)
    assert store.manifest.data["sequences"] == len(rows)
    written = [{"prompt": c.messages[0][1], "response": c.messages[1][1]} for c in rows]
    lines(tmp_path / "written.jsonl", written)
    twin = measured(world, tmp_path / "twin", data=[tmp_path / "written.jsonl"])
    assert twin.manifest.data["respond"] is None
    assert twin.manifest.data["prompts"] == store.manifest.data["prompts"]
    for name, record in store.manifest.layers.items():
        one, other = (s.tensors(s.find(name), ("diagonal",))["diagonal"] for s in (store, twin))
        assert record.shape == twin.find(name).shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_an_answer_is_cut(world, tmp_path):
    store = measured(world, tmp_path / "out", "--respond", "3")
    assert store.manifest.data["tokens"] <= 4 * len(PROMPTS) + 3  # with end marks


@pytest.mark.parametrize(
    ("model", "more", "text"),
    [
        ("bare", ["--respond", "4", "--chat-template"], "its tokenizer has no chat template"),
        ("chat", [], "row 1: field 'response' is missing or empty"),
        ("chat", ["--respond", "4", "--plan"], "--plan cannot know how long answers are"),
        ("chat", ["--weight", "1", "--weight", "2"], "--weight: 2 for 1 --data; give each one or none"),
    ],
)
def test_faults_are_one_line_and_leave_nothing(world, tmp_path, model, more, text):
    result = fisher(world, tmp_path / "out", *more, model=model)
    assert result.exit_code == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("sst-mergekit: error: ")]
    assert len(errors) == 1
    assert text in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_an_empty_answer_is_one_line(world, tmp_path, monkeypatch):
    monkeypatch.setattr("sst_mergekit.statistics.responding._answers", lambda *_: [" "] * 99)
    result = fisher(world, tmp_path / "out", "--respond", "4", "--batch-size", "99")
    assert result.exit_code == 2
    assert "answer to prompt" in result.stderr
    assert "is empty; remove it" in result.stderr


def test_several_data_are_their_union(world, tmp_path):
    tiny_data(tmp_path / "one.jsonl", (("w1 w2", "w3"), ("w4", "w5 w6")))
    tiny_data(tmp_path / "two.jsonl", (("w7 w8", "w9 w1"),))
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    (tmp_path / "all.jsonl").write_text("".join(part.read_text() for part in parts))
    apart, joined = (
        measured(world, tmp_path / name, data=data)
        for name, data in (("apart", parts), ("joined", [tmp_path / "all.jsonl"]))
    )
    assert apart.manifest.data["sha256"] == joined.manifest.data["sha256"]
    assert apart.manifest.data["location"] == " + ".join(map(str, parts))
    assert apart.manifest.files == joined.manifest.files  # the same bytes


def test_weights_reach_the_measurement(world, tmp_path):
    tiny_data(tmp_path / "one.jsonl", tuple((f"w{i}", "w20") for i in range(12)))
    tiny_data(tmp_path / "two.jsonl", (("w20 w1", "w21"), ("w20 w2", "w21")))
    parts = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    more = ["--weight", "3", "--weight", "1", "--samples", "16"]
    store = measured(world, tmp_path / "out", *more, data=parts)
    assert store.manifest.data["weight"] == [3.0, 1.0]
    assert store.manifest.data["sequences"] == 16
    assert len(store.manifest.data["prompts"]) == 14
