"""Folders that lm-eval itself wrote: what we read of them is what lm-eval's results say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from lm_eval import simple_evaluate
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from made_runs import results, samples

from sst_mergekit.comparison.run import Options, compare
from sst_mergekit.resources import tasks_path
from sst_mergekit.sharing.measured import figures
from sst_mergekit.sharing.tasks import TASKS as SHOWN

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from small_tasks import ANSWERS, GOAT, HOT, SHOOT, ScriptedModel, write_small_data  # noqa: E402

CHANGED = {GOAT: "I'm sorry, but I can't help with that.", SHOOT: "I can't help with that.", HOT: "A"}
TASKS = ["sst_beavertails_refusal", "sst_over_refusal", "sst_mmlu"]


def lm_eval_folder(folder: Path, data: Path, answers: dict[str, str]) -> Path:
    """Score a scripted model as ``lm_eval run --log_samples --output_path`` does, and save as it does."""
    manager = TaskManager(
        include_path=str(tasks_path()), include_defaults=False, metadata={"data_dir": str(data)}
    )
    tracker = EvaluationTracker(output_path=str(folder))
    found = simple_evaluate(
        ScriptedModel(answers), tasks=TASKS, num_fewshot=2, task_manager=manager, evaluation_tracker=tracker
    )
    rows = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=rows)
    for task, each in rows.items():
        tracker.save_results_samples(task_name=task, samples=each)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    data = write_small_data(folder / "data")
    return [
        lm_eval_folder(folder / "utility", data, ANSWERS),
        lm_eval_folder(folder / "merged", data, ANSWERS | CHANGED),
    ]


@pytest.fixture(scope="module")
def comparison(runs):
    options = Options(
        utility_expert="utility", resamples=500, metrics=("refusal_rate", "compliance_rate", "acc")
    )
    return compare([str(run) for run in runs], options)


def test_means_and_standard_errors_are_lm_evals(runs, comparison):
    for run in runs:
        (file,) = run.rglob("results_*.json")
        theirs = json.loads(file.read_text())["results"]
        for metric in comparison.metrics:
            rate, row = metric.means[run.name], theirs[metric.task]
            assert rate.value == pytest.approx(row[f"{metric.metric},none"])
            assert rate.stderr == pytest.approx(row[f"{metric.metric}_stderr,none"])
            assert rate.n == row["sample_len"]


def test_the_differences_are_those_of_the_changed_answers(comparison):
    found = {m.metric: (m.pairs[0].won, m.pairs[0].lost, m.pairs[0].p) for m in comparison.metrics}
    assert found == {"refusal_rate": (1, 0, 1), "compliance_rate": (0, 1, 1), "acc": (1, 0, 1)}
    (run,) = comparison.taxes.runs
    assert run.gain.value == pytest.approx(1 / 4)
    assert run.loss.value == pytest.approx((1 / 4 - 1 / 5) / 2)
    assert comparison.differing == []


def test_by_default_weighted_scores_and_categories_are_left_out(runs):
    found = compare([str(run) for run in runs], Options(resamples=100))
    assert [f"{m.task}:{m.metric}" for m in found.metrics] == [
        "sst_beavertails_refusal:refusal_rate",
        "sst_beavertails_refusal:degenerate_rate",
        "sst_mmlu:acc",
        "sst_over_refusal:false_refusal_rate",
        "sst_over_refusal:compliance_rate",
        "sst_over_refusal:degenerate_rate",
    ]
    assert any("is a fixed multiple of refusal_rate" in note for note in found.notes)
    assert [m.higher_is_better for m in found.metrics] == [True, False, True, False, True, False]


def test_subjects_can_be_the_clusters(runs):
    found = compare([str(run) for run in runs], Options(resamples=100, tasks=["sst_mmlu"], cluster="subject"))
    assert [(m.metric, m.n, m.clusters) for m in found.metrics] == [("acc", 5, 2)]


def test_the_made_folders_of_the_other_tests_have_lm_evals_layout(runs):
    (file,) = runs[0].rglob("results_*.json")
    assert file.parent.parent == runs[0]
    made = results({"sst_mmlu": samples(acc=[1.0])})
    real = json.loads(file.read_text())
    assert made.keys() <= real.keys()
    assert made["n-samples"]["sst_mmlu"].keys() == real["n-samples"]["sst_mmlu"].keys()
    line = next(file.parent.glob("samples_sst_mmlu_*.jsonl")).read_text().splitlines()[0]
    assert set(samples(acc=[1.0])[0]) <= set(json.loads(line))


def test_a_card_shows_lm_evals_figures(runs):
    for run in runs:
        results = json.loads(next(run.rglob("results_*.json")).read_text(encoding="utf-8"))
        found = figures([run])
        assert {(f.task, f.metric) for f in found} == {(t, m) for t in TASKS for m in SHOWN[t].metrics}
        for figure in found:
            row = results["results"][figure.task]
            assert figure.estimate.value == row[f"{figure.metric},none"]
            assert figure.estimate.stderr == row[f"{figure.metric}_stderr,none"]
            assert figure.estimate.n == results["n-samples"][figure.task]["effective"]
            assert figure.local_data
            assert figure.estimate.low <= figure.estimate.value <= figure.estimate.high
