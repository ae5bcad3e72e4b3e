from __future__ import annotations

import logging
import re
import time
from pathlib import Path

import pytest
from small_tasks import CAPITALS, KILL, TASKS, ScriptedModel

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation.harness import load_tasks, score, split_documents, summary
from sst_mergekit.metrics.estimate import Rate


def test_samples_hold_each_document_with_its_answer(small_data: Path) -> None:
    results = score(
        ScriptedModel(), load_tasks("sst_over_refusal", data_dir=small_data), confirm_run_unsafe_code=False
    )
    first = results["samples"]["sst_over_refusal"][0]
    assert first["doc"]["prompt"] == KILL
    assert first["resps"] == [["I can't help you harm anything."]]
    assert (first["false_refusal_rate"], first["compliance_rate"]) == (1.0, 0.0)


def test_programs_are_not_run_without_consent(small_data: Path) -> None:
    tasks = load_tasks("sst_safety_utility", data_dir=small_data)
    with pytest.raises(EvaluationError, match="sst_humaneval runs programs that the model wrote"):
        score(ScriptedModel(), tasks, confirm_run_unsafe_code=False)


@pytest.mark.parametrize(
    ("names", "overrides", "message"),
    [
        (["sst_safety_utility", "sst_mmlu"], {}, "Duplicate task 'sst_mmlu'.*group or for its members"),
        ("sst_mmlu", {"sst_humaneval": {}}, "overrides: 'sst_humaneval' is not among the tasks"),
        ("sst_mmlu", {"sst_mmlu": {"num_fewshots": 1}}, "unknown key 'num_fewshots' .*'num_fewshot'"),
    ],
)
def test_wrong_requests_are_named(small_data: Path, names: object, overrides: dict, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        load_tasks(names, data_dir=small_data, overrides=overrides)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("sst_mmul", "did you mean sst_mmlu, "),
        ("gsm8k_cots", "did you mean gsm8k_cot, "),
        ("my_capital", "did you mean my_capitals?"),
        ("zzzzzzzzz", "'sst-mergekit eval ls tasks' lists all)"),
    ],
)
def test_an_unknown_name_is_said_with_those_near_it(mine: Path, name: str, hint: str) -> None:
    with pytest.raises(EvaluationError, match=re.escape(f"tasks: unknown name '{name}' (")) as raised:
        load_tasks([name], include_path=mine)
    assert hint in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="include_path: no-such-folder: no such folder"):
        load_tasks("sst_mmlu", include_path="no-such-folder")


class Echo(ScriptedModel):
    """Answers a capital's question by its land, some in capitals, and GSM8K's with a number."""

    def _answer(self, context: str) -> str:
        if "+ 1?" in context:
            return "#### 3" if "2 + 1?" in context else "it is 1"
        if not context.startswith("Capital"):
            return super()._answer(context)
        land = context.split()[-1].rstrip("?")
        return land.upper() if land in ("Peru", "Chad") else land


def test_lm_evals_the_users_and_our_tasks_are_scored_together(mine: Path, small_data: Path) -> None:
    overrides = {"gsm8k": {"num_fewshot": 0}}
    names = ["gsm8k", "my_group", "sst_over_refusal"]
    tasks = load_tasks(names, data_dir=small_data, include_path=[mine], overrides=overrides)
    assert set(tasks["tasks"]) == {"gsm8k", "my_capitals", "sst_over_refusal"}
    found = summary(score(Echo(), tasks, confirm_run_unsafe_code=False))
    assert found["gsm8k"] == {
        "exact_match,strict-match": Rate(1 / 8, pytest.approx(0.125), 8),
        "exact_match,flexible-extract": Rate(2 / 8, pytest.approx(0.1637, abs=1e-3), 8),
    }
    assert found["my_capitals"]["exact_match"] == Rate(0.8, pytest.approx(0.1333, abs=1e-3), 10)
    assert found["my_capitals"]["exact_match,upper"].n == 10
    assert found["my_capitals"]["exact_match,upper"].value == 0
    assert "false_refusal_rate" in found["sst_over_refusal"]
    assert found["my_group"] == {}


def test_a_task_of_the_users_that_runs_programs_needs_consent(mine: Path) -> None:
    tasks = load_tasks("my_programs", include_path=mine)
    with pytest.raises(EvaluationError, match="my_programs runs programs that the model wrote"):
        score(Echo(), tasks, confirm_run_unsafe_code=False, samples={"my_programs": [0]})
    assert score(Echo(), tasks, confirm_run_unsafe_code=True)["results"]["my_programs"]


def test_only_the_documents_asked_for_are_scored(mine: Path) -> None:
    tasks = load_tasks("my_capitals", include_path=mine)
    model = Echo()
    results = score(model, tasks, confirm_run_unsafe_code=False, samples={"my_capitals": [5, 4, 0]})
    assert summary(results)["my_capitals"]["exact_match"] == Rate(1 / 3, pytest.approx(1 / 3), 3)
    asked = {entry["doc_id"]: entry["doc"]["land"] for entry in results["samples"]["my_capitals"]}
    assert asked == {number: CAPITALS[number] for number in (0, 4, 5)}


@pytest.mark.parametrize(
    ("samples", "limit", "message"),
    [
        ({"my_capital": [0]}, None, r"samples: 'my_capital' is not among the tasks \(did you mean"),
        ({"my_capitals": []}, None, "samples.my_capitals: expected at least one number from 0 to 9"),
        ({"my_capitals": [0, 10]}, None, r"from 0 to 9, each once; got \[0, 10\]"),
        ({"my_capitals": [-1]}, None, "from 0 to 9"),
        ({"my_capitals": [2, 2]}, None, "each once"),
        ({"my_capitals": [2]}, 1, "limit and samples exclude each other"),
    ],
)
def test_documents_that_are_not_there_are_named(mine: Path, samples: dict, limit: int, message: str) -> None:
    tasks = load_tasks("my_capitals", include_path=mine)
    with pytest.raises(EvaluationError, match=message):
        score(Echo(), tasks, confirm_run_unsafe_code=False, samples=samples, limit=limit)


def lands(mine: Path, order: list[str], seed: int = 0) -> tuple[list[str], list[str]]:
    """The development and test side of a split of these rows."""
    (mine / "rows.jsonl").write_text("".join(f'{{"land": "{land}"}}\n' for land in order))
    task = load_tasks("my_capitals", include_path=mine)["tasks"]["my_capitals"]
    dev, test = split_documents(task, 0.4, seed)
    assert sorted(dev + test) == list(range(len(order)))
    return [order[number] for number in dev], [order[number] for number in test]


def test_a_split_goes_by_the_documents_and_the_seed(mine: Path) -> None:
    dev, test = lands(mine, list(CAPITALS))
    assert dev == ["Chad", "Iran", "Cuba", "Oman"]  # of this seed, on every machine
    turned = lands(mine, [*reversed(CAPITALS), "Togo", dev[0]])
    assert set(dev) <= set(turned[0])
    assert set(test) <= set(turned[1])
    assert turned[0].count(dev[0]) == 2  # copies go together
    assert lands(mine, list(CAPITALS), seed=1) != (dev, test)
    many = [str(number) for number in range(2000)]
    assert 0.37 < len(lands(mine, many)[0]) / len(many) < 0.43


@pytest.mark.parametrize(
    ("share", "message"),
    [(0, "share: got 0, expected"), (1, "share: got 1"), (1e-9, "10 documents a share of 1e-09 leaves one")],
)
def test_a_split_that_cannot_be_made_is_said(mine: Path, share: float, message: str) -> None:
    task = load_tasks("my_capitals", include_path=mine)["tasks"]["my_capitals"]
    with pytest.raises(EvaluationError, match=message):
        split_documents(task, share)


def test_more_examples_than_the_subject_has_is_an_error(small_data: Path) -> None:
    tasks = load_tasks("sst_mmlu", data_dir=small_data)
    with pytest.raises(EvaluationError, match="num_fewshot=5, but subject 'small_sums' has 2 examples"):
        score(ScriptedModel(), tasks, confirm_run_unsafe_code=False)


def test_a_dict_override_is_merged(small_data: Path) -> None:
    tasks = load_tasks(
        "sst_humaneval",
        data_dir=small_data,
        overrides={"sst_humaneval": {"generation_kwargs": {"max_gen_toks": 9}}},
    )
    settings = tasks["tasks"]["sst_humaneval"].config.generation_kwargs
    assert settings["max_gen_toks"] == 9
    assert "\nassert " in settings["until"]


def test_summary_keeps_other_filters_and_undefined_errors_apart() -> None:
    entries = {"alias": "t", "sample_len": 3, "em,none": 0.5, "em_stderr,none": "N/A", "em,strict": 0.25}
    entries["shown,none"] = "no number"
    assert summary({"results": {"t": entries}}) == {
        "t": {"em": Rate(0.5, None, 3), "em,strict": Rate(0.25, None, 3)}
    }


def test_the_count_warning_is_held_back_and_others_are_not(
    small_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = load_tasks("sst_beavertails_refusal", data_dir=small_data)
    with caplog.at_level(logging.WARNING, "lm_eval.evaluator_utils"):
        score(ScriptedModel(), tasks, confirm_run_unsafe_code=False)
        assert not [record for record in caplog.records if record.name == "lm_eval.evaluator_utils"]
        logging.getLogger("lm_eval.evaluator_utils").warning("not scored on the same number of documents")
    assert caplog.messages[-1] == "not scored on the same number of documents"


def test_scoring_reads_no_file_and_costs_little(small_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = load_tasks("sst_safety_utility", data_dir=small_data, overrides={"sst_mmlu": {"num_fewshot": 0}})
    score(
        ScriptedModel(), tasks, confirm_run_unsafe_code=True
    )  # the programs' verdicts are kept from here on

    def closed(*args: object) -> None:
        raise AssertionError("rows were read again")

    monkeypatch.setattr("sst_mergekit.evaluation.rows.read_rows", closed)
    monkeypatch.setattr("sst_mergekit.evaluation.sandbox.Server", closed)
    start = time.process_time()
    score(ScriptedModel(), tasks, confirm_run_unsafe_code=True)
    assert time.process_time() - start < 1.0  # 17 documents; about 0.02 s on an idle core
    assert set(tasks["tasks"]) == set(TASKS)
