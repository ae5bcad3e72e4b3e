"""A tiny random model that writes and one that classifies: batches, padding, memory, faults."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import VOCABULARY, tiny_llama, tiny_tokenizer

from sst_mergekit.errors import EvaluationError, StatisticsError
from sst_mergekit.judging.judge import Pair
from sst_mergekit.judging.local import LocalJudge, load_judge
from sst_mergekit.judging.shapes import SHAPES
from sst_mergekit.statistics.loading import ModelSpec

PAIRS = [Pair("w1 w2", "w3"), Pair("w4", "w5 w6 w7 w8 w9"), Pair("w1", "w2"), Pair("w9 w8", "w7 w6")]


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("writer"), seed=0, max_position_embeddings=512)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier(tmp_path_factory.mktemp("classifier"), SHAPES["beaver-dam"].labels or ())


def tiny_classifier(path: Path, labels: tuple[str, ...]) -> Path:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        id2label=dict(enumerate(labels)),
        problem_type="multi_label_classification",
    )
    LlamaForSequenceClassification(config).save_pretrained(path)
    return tiny_tokenizer(path)


def load(name: str, path: Path, batch_size: int = 4) -> LocalJudge:
    return load_judge(SHAPES[name], ModelSpec(str(path)), batch_size)


def in_order(judge: LocalJudge, pairs: list[Pair] = PAIRS) -> list[str]:
    answers = dict(judge.answers(pairs))
    assert sorted(answers) == list(range(len(pairs)))
    return [answers[position] for position in range(len(pairs))]


@pytest.mark.parametrize("name", ["wildguard", "harmbench"])
def test_a_batch_answers_as_one_by_one(writer: Path, name: str):
    judge = load(name, writer)
    naive = []
    for pair in PAIRS:
        text = judge.shape.text(judge.tokenizer, *pair)
        ids = judge.tokenizer(
            text, add_special_tokens=judge.shape.special_tokens, return_tensors="pt"
        ).input_ids
        made = judge.model.generate(
            ids, do_sample=False, max_new_tokens=judge.shape.new_tokens, pad_token_id=1
        )
        naive.append(judge.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))
    assert in_order(judge) == naive
    assert in_order(dataclasses.replace(judge, batch_size=1)) == naive
    assert [judge.parse(answer) for answer in naive] == [None] * 4  # a random model says nothing


def test_a_template_is_the_models_own(writer: Path):
    judge = load("llama-guard", writer)
    with pytest.raises(EvaluationError, match="has no chat template"):
        in_order(judge)
    judge.tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    assert len(in_order(judge)) == 4


def test_probabilities_are_the_models(classifier: Path):
    judge = load("beaver-dam", classifier)
    for pair, answer in zip(PAIRS, in_order(judge), strict=True):
        ids = judge.tokenizer(judge.shape.text(judge.tokenizer, *pair), return_tensors="pt").input_ids
        expected = judge.model(ids).logits[0].sigmoid().tolist()
        assert list(json.loads(answer)) == list(judge.shape.labels or ())
        assert list(json.loads(answer).values()) == pytest.approx(expected, abs=6e-5)
        assert judge.parse(answer) is not None


def test_the_longest_come_first_and_begin_as_their_shape_says(writer: Path):
    """The tokenizer adds <bos> where it is let: HarmBench's text has none of its own, WildGuard's has."""
    from tokenizers.processors import TemplateProcessing

    for name, begins in (("harmbench", True), ("wildguard", False)):
        judge, read = load(name, writer, batch_size=1), []
        tokenizer, generate = judge.tokenizer.backend_tokenizer, judge.model.generate
        tokenizer.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])

        def noting(read: list = read, generate: Any = generate, **kwargs: Any) -> Any:
            read.append(kwargs["input_ids"][0].tolist())
            return generate(**kwargs)

        judge.model.generate = noting
        in_order(judge)
        assert {ids[0] == 2 for ids in read} == {begins}
        lengths = [len(ids) for ids in read]
        assert lengths == sorted(lengths, reverse=True)
        assert len(set(lengths)) > 1


def test_memory_running_out_halves_the_batch(classifier: Path, capsys: pytest.CaptureFixture):
    judge = load("beaver-dam", classifier)
    whole, sizes, forward = in_order(judge), [], judge.model.forward

    def small(*args: Any, **kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(*args, **kwargs)

    judge.model.forward = small
    assert in_order(judge) == whole
    assert sizes == [4, 2, 1, 1, 1, 1]
    assert "going on with --batch-size 1" in capsys.readouterr().out


def test_memory_too_small_for_one_pair_is_an_error(classifier: Path):
    judge = load("beaver-dam", classifier)

    def none(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    judge.model.forward = none
    with pytest.raises(EvaluationError, match=r"out of memory with one pair of \d+ tokens"):
        in_order(judge)


def test_other_faults_are_not_taken_for_memory(classifier: Path):
    judge = load("beaver-dam", classifier)

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    judge.model.forward = broken
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        in_order(judge)


def test_a_pair_that_does_not_fit_is_an_error_not_cut(writer: Path):
    judge = load("harmbench", writer)
    with pytest.raises(EvaluationError, match=r"are \d+ tokens, and the judge harmbench reads at most 511"):
        in_order(judge, [Pair("w1", "w2 " * 512)])


def test_who_judged_is_known_by_the_weights(writer: Path, classifier: Path, tmp_path: Path):
    first = load("harmbench", writer).identity
    other = load("harmbench", tiny_llama(tmp_path, seed=1)).identity
    assert first["weights"] != other["weights"]
    assert (first["judge"], first["version"], first["dtype"]) == ("harmbench", 1, "float32")
    assert load("wildguard", writer).identity["judge"] == "wildguard"


def test_a_classifier_of_something_else_is_refused(tmp_path: Path, writer: Path):
    other = tiny_classifier(tmp_path, ("good", "bad", "ugly"))
    with pytest.raises(
        EvaluationError, match=r"labels: got 3 \(good, ...\), expected those of PKU-Alignment"
    ):
        load("beaver-dam", other)
    with pytest.raises(StatisticsError, match=r"lacks score.weight \(1 in all\), which would be random"):
        load("beaver-dam", writer)


def test_a_classifier_needs_a_pad_token(classifier: Path, monkeypatch: pytest.MonkeyPatch):
    tokenizer = load("beaver-dam", classifier).tokenizer
    tokenizer.pad_token = tokenizer.eos_token
    monkeypatch.setattr("sst_mergekit.judging.local.load_tokenizer", lambda spec: tokenizer)
    with pytest.raises(EvaluationError, match="needs a pad token other than the end mark"):
        load("beaver-dam", classifier)


def test_weights_that_are_not_there(tmp_path: Path):
    with pytest.raises(StatisticsError, match="cannot be loaded"):
        load("wildguard", tmp_path)
