from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from small_tasks import KILL, TASKS, ScriptedModel

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation.harness import load_tasks, score, summary
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
        ("sst_mmul", {}, r"tasks: unknown name 'sst_mmul' \(did you mean 'sst_mmlu'\?\)"),
        (["sst_safety_utility", "sst_mmlu"], {}, "Duplicate task 'sst_mmlu'.*group or for its members"),
        ("sst_mmlu", {"sst_humaneval": {}}, "overrides: 'sst_humaneval' is not among the tasks"),
        ("sst_mmlu", {"sst_mmlu": {"num_fewshots": 1}}, "unknown key 'num_fewshots' .*'num_fewshot'"),
    ],
)
def test_wrong_requests_are_named(small_data: Path, names: object, overrides: dict, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        load_tasks(names, data_dir=small_data, overrides=overrides)


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
