from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_mergekit.cli import main
from sst_mergekit.cli.eval import split_ours, with_our_tasks
from sst_mergekit.errors import DataError, EvaluationError
from sst_mergekit.evaluation import sandbox_walls
from sst_mergekit.evaluation.sweep import score_adapters, score_models
from sst_mergekit.resources import tasks_path

OURS = ["--include_path", str(tasks_path())]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    calls: list[list[str]] = []
    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", lambda: calls.append(sys.argv[1:]))
    return calls


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["--tasks", "sst_mmlu"], ["run", *OURS, "--tasks", "sst_mmlu"]),
        (["run", "--tasks", "sst_mmlu"], ["run", *OURS, "--tasks", "sst_mmlu"]),
        (["ls", "tasks"], ["ls", *OURS, "tasks"]),
        (["validate", "--tasks", "sst_mmlu"], ["validate", *OURS, "--tasks", "sst_mmlu"]),
        (["-h"], ["run", *OURS, "-h"]),
        (["--help"], ["run", *OURS, "--help"]),
        (["--tasks", "a", "--", "-x", "--"], ["run", *OURS, "--tasks", "a", "--", "-x", "--"]),
        (["--metadata", '{"data_dir": "a b"}'], ["run", *OURS, "--metadata", '{"data_dir": "a b"}']),
        ([], ["run"]),
        (["ls"], ["ls"]),
    ],
)
def test_arguments_reach_lm_eval_untouched(seen: list, given: list[str], passed: list[str]) -> None:
    before = list(sys.argv)
    result = CliRunner().invoke(main, ["eval", *given])
    assert (result.exit_code, seen, result.stderr) == (0, [passed], "")
    assert sys.argv == before


@pytest.mark.parametrize("form", [["--include_path", "mine"], ["--include_path=mine"], ["--includ", "mine"]])
def test_the_users_own_include_path_is_used_and_said_in_one_line(seen: list, form: list[str]) -> None:
    result = CliRunner().invoke(main, ["eval", "--tasks", "a", *form])
    assert seen == [["run", "--tasks", "a", *form]]
    assert result.stderr == f"sst-mergekit: using your include path mine, not {tasks_path()}\n"


@pytest.mark.parametrize("flag", ["--config", "-C"])
def test_an_include_path_in_a_config_file_counts_too(tmp_path: Path, flag: str) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("tasks: [a]\ninclude_path: mine\n")
    assert with_our_tasks([flag, str(config)]) == (["run", flag, str(config)], "mine")
    config.write_text("tasks: [a]\n")
    assert with_our_tasks([flag, str(config)]) == (["run", *OURS, flag, str(config)], None)
    assert with_our_tasks([flag, "missing.yaml"])[1] is None


def test_a_fault_in_the_data_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise DataError("a.jsonl:1: field 'prompt' is missing")

    monkeypatch.setattr("lm_eval.__main__.cli_evaluate", fail)
    result = CliRunner().invoke(main, ["eval", "--tasks", "a"])
    assert (result.exit_code, result.stderr) == (
        2,
        "sst-mergekit: error: a.jsonl:1: field 'prompt' is missing\n",
    )


def test_lm_evals_own_help_is_shown() -> None:
    result = CliRunner().invoke(main, ["eval", "-h"])
    assert result.exit_code == 0
    assert "--confirm_run_unsafe_code" in result.stdout
    for option in ("--sandbox", "--adapters", "--with_base", "--models"):
        assert option in result.stdout


def test_lm_evals_subcommands_are_those_we_know(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval._cli import HarnessCLI

    from sst_mergekit.cli.eval import SUBCOMMANDS

    assert set(HarnessCLI()._subparsers.choices) == set(SUBCOMMANDS)


def test_our_options_are_taken_out_wherever_they_stand() -> None:
    ours, rest = split_ours(
        ["run", "--adapters", "a", "b", "--tasks", "c", "d", "--sandbox=none", "--limit", "1"]
    )
    assert (ours.adapters, ours.sandbox, ours.with_base) == (["a", "b"], "none", False)
    assert rest == ["run", "--tasks", "c", "d", "--limit", "1"]


def test_a_sandbox_is_chosen_for_the_run(seen: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sandbox_walls.VARIABLE, "before")  # so that it is put back
    result = CliRunner().invoke(main, ["eval", "--tasks", "a", "--sandbox", "none"])
    assert (result.exit_code, seen) == (0, [["run", *OURS, "--tasks", "a"]])
    assert sandbox_walls.chosen() == "none"
    result = CliRunner().invoke(main, ["eval", "--tasks", "a", "--sandbox", "no-such-wall"])
    assert result.exit_code == 2
    assert result.stderr.startswith("sst-mergekit: error: sandbox: 'no-such-wall' is not on this machine")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "vllm", "--model_args", "pretrained=b"], "goes with 'run' and --model hf, not vllm"),
        (["--output_path", "out"], "name the base, and no adapter, by --model_args pretrained=BASE"),
        (["--model_args", "pretrained=b,peft=c"], "name the base, and no adapter"),
        (["--model_args", "pretrained=b"], "give --output_path DIR"),
        (["--model_args", "pretrained=b", "--output_path", "a.json"], "give --output_path DIR"),
    ],
)
def test_runs_that_cannot_have_many_adapters_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(EvaluationError, match=f"--adapters: {message}"):
        score_adapters(["run", "--tasks", "a", *arguments], ["x"], with_base=False)


def test_adapters_that_cannot_be_scored_are_named(tmp_path: Path, seen: list) -> None:
    arguments = ["run", "--model_args", "pretrained=b", "--output_path", str(tmp_path / "out")]
    with pytest.raises(EvaluationError, match="--adapters: x is named twice"):
        score_adapters(arguments, ["x", "x"], with_base=False)
    with pytest.raises(EvaluationError, match=f"--adapters: {tmp_path} has no adapter_config.json"):
        score_adapters(arguments, [str(tmp_path)], with_base=False)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(EvaluationError, match=f"--adapters: {tmp_path} has no adapter_model.safetensors"):
        score_adapters(arguments, [str(tmp_path)], with_base=False)
    assert seen == []
    result = CliRunner().invoke(main, ["eval", "--with_base", "--tasks", "a"])
    assert (result.exit_code, seen) == (2, [])
    assert "--with_base: goes with --adapters" in result.stderr


def test_results_that_were_not_written_are_an_error(tmp_path: Path, seen: list) -> None:
    arguments = ["run", "--model_args", "pretrained=b", "--output_path", str(tmp_path)]
    with pytest.raises(EvaluationError, match="no results of the base were written"):
        score_adapters(arguments, ["someone/x"], with_base=True)
    assert seen == [arguments]
    with pytest.raises(EvaluationError, match="no results of someone/x were written"):
        score_adapters(arguments, ["someone/x"], with_base=False)
    assert seen[1] == [*arguments, "--model_args", '{"peft": "someone/x"}']


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--model", "vllm"], "goes with 'run' and --model hf, not vllm"),
        (["ls", "tasks"], "goes with 'run' and --model hf, not ls"),
        (["run", "--model_args", "pretrained=b"], "leave pretrained, peft and delta out of --model_args"),
        (["run", "--model_args", "dtype=float32"], "give --output_path DIR"),
        (["run", "--output_path", "out"], "x is named twice"),
    ],
)
def test_runs_that_cannot_have_many_models_are_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(EvaluationError, match=f"--models: .*{message}"):
        score_models(arguments, ["x", "x"])


def test_models_that_cannot_be_scored_are_named(tmp_path: Path, seen: list) -> None:
    arguments = ["run", "--model_args", "dtype=float32", "--output_path", str(tmp_path / "out")]
    with pytest.raises(EvaluationError, match=f"--models: {tmp_path} has no config.json"):
        score_models(arguments, [str(tmp_path)])
    assert seen == []
    with pytest.raises(EvaluationError, match="no results of someone/x were written"):
        score_models(arguments, ["someone/x"])
    assert seen == [[*arguments, "--model_args", '{"pretrained": "someone/x"}']]
    result = CliRunner().invoke(main, ["eval", "--models", "a", "--adapters", "b", "--tasks", "c"])
    assert (result.exit_code, len(seen)) == (2, 1)
    assert "--models: goes not with --adapters" in result.stderr
