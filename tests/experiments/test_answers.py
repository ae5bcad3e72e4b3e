"""What is kept of answers: the same first prompts for every model, what each is, and rights by subject."""

import json

import pytest

from sst_mergekit.testbeds.answers import by_subject, first_answers, read_answers, write_answers


def sample(number, response="an answer", metrics=None, **doc):
    return {
        "doc_id": number,
        "doc": {"prompt": f"prompt {number}", **doc},
        "filtered_resps": [response],
        **(metrics or {}),
    }


@pytest.mark.parametrize(
    ("metrics", "outcome"),
    [
        ({"refusal_rate": 1.0, "degenerate_rate": 0.0}, "refused"),
        ({"refusal_rate": 0.0, "degenerate_rate": 1.0}, "degenerate"),
        ({"refusal_rate": 0.0, "degenerate_rate": 0.0}, "answered"),
        ({"resistance_rate": 1.0, "degenerate_rate": 0.0}, "refused"),
        ({"false_refusal_rate": 1.0, "compliance_rate": 0.0, "degenerate_rate": 0.0}, "refused"),
        ({"false_refusal_rate": 0.0, "compliance_rate": 1.0, "degenerate_rate": 0.0}, "answered"),
        ({"pass_at_1": 1.0}, "passed"),
        ({"pass_at_1": 0.0}, "failed"),
    ],
)
def test_an_answer_is_one_thing(metrics, outcome):
    [kept] = first_answers({"a task": [sample(0, metrics=metrics)]}, 1)["a task"]
    assert kept["outcome"] == outcome


def test_the_first_prompts_are_kept_whatever_their_order():
    found = first_answers({"a task": [sample(number) for number in (3, 0, 2, 1)]}, 2)
    assert {kept["prompt"] for kept in found["a task"]} == {"prompt 0", "prompt 1"}


def test_groups_are_the_categories_or_the_wrapping():
    samples = {
        "harm": [sample(0, categories=["a,b", "c"])],
        "wrapped": [sample(0, wrapping="suffix")],
        "plain": [sample(0)],
    }
    found = {task: kept[0]["groups"] for task, kept in first_answers(samples, 1).items()}
    assert found == {"harm": ["a,b", "c"], "wrapped": ["suffix"], "plain": []}


def test_questions_are_counted_by_subject_and_not_kept(tmp_path):
    questions = [{"doc_id": i, "doc": {"subject": "law" if i else "art"}, "acc": float(i)} for i in range(2)]
    write_answers({"sst_mmlu": questions, "plain": [sample(0, response="ü\n<b>")]}, 1, tmp_path)
    body = read_answers(tmp_path)
    assert body["subjects"] == {"art": {"right": 0, "n": 1}, "law": {"right": 1, "n": 1}}
    assert list(body["answers"]) == ["plain"]
    assert body["answers"]["plain"][0]["response"] == "ü\n<b>"
    assert "prompt 1" not in json.dumps(body)
    assert by_subject(()) == {}
