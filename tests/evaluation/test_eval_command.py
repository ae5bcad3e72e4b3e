from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from lm_eval import tasks
from lm_eval._cli.run import Run

from sst_mergekit.cli import main
from sst_mergekit.cli.eval import split_ours
from sst_mergekit.errors import DataError, EvaluationError
from sst_mergekit.evaluation import sandbox_walls
from sst_mergekit.evaluation.command import SUBCOMMANDS, parsed
from sst_mergekit.evaluation.sweep import score_adapters, score_models
from sst_mergekit.resources import tasks_path

OURS = str(tasks_path())


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Namespace]:
    """What lm-eval's ``run`` is asked, in the order it is; nothing is run."""
    calls: list[Namespace] = []
    monkeypatch.setattr(Run, "_execute", staticmethod(lambda asked: calls.append(Namespace(**vars(asked)))))
    return calls


@pytest.mark.parametrize(
    "given",
    [
        ["--tasks", "a,b", "--limit", "2", "--metadata", '{"data_dir": "a b"}'],
        ["run", "--tasks", "a", "b", "--limit", "2", "--metadata", "data_dir=a b"],
    ],
)
def test_arguments_reach_lm_eval_untouched(seen: list, given: list[str]) -> None:
    before = list(sys.argv)
    result = CliRunner().invoke(main, ["eval", *given])
    assert (result.exit_code, result.stderr) == (0, "")
    [asked] = seen
    assert (asked.tasks, asked.limit, asked.metadata) == (["a", "b"], 2, {"data_dir": "a b"})
    assert asked.include_path == [OURS]
    assert sys.argv == before


def test_lm_eval_shows_its_help_where_nothing_is_asked() -> None:
    for given, text in (([], "--confirm_run_unsafe_code"), (["ls"], "subtasks"), (["run"], "--tasks")):
        result = CliRunner().invoke(main, ["eval", *given])
        assert result.exit_code == 0
        assert text in result.stdout


@pytest.mark.parametrize("form", [["--include_path", "{}"], ["--include_path={}"], ["--includ", "{}"]])
@pytest.mark.parametrize("subcommand", ["run", "validate"])
def test_the_users_own_include_path_is_added_to_ours(tmp_path: Path, form: list, subcommand: str) -> None:
    given = [subcommand, "--tasks", "a", *(word.format(tmp_path) for word in form)]
    assert parsed(given).include_path == [OURS, str(tmp_path)]


@pytest.mark.parametrize("flag", ["--config", "-C"])
def test_an_include_path_in_a_config_file_counts_too(tmp_path: Path, flag: str) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(f"tasks: [a]\ninclude_path: {tmp_path}\n")
    assert parsed([flag, str(config)]).include_path == [OURS, str(tmp_path)]
    assert parsed([flag, str(config), "--include_path", OURS]).include_path == [OURS]
    config.write_text("tasks: [a]\n")
    assert parsed([flag, str(config)]).include_path == [OURS]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--include_path", "no-such-folder"], "include_path: no-such-folder: no such folder"),
        (["--config", "missing.yaml"], "--config: Config file not found"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(seen: list, given: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["eval", "--tasks", "a", *given])
    assert (result.exit_code, seen, result.stderr.count("\n")) == (2, [], 1)
    assert message in result.stderr


def test_ours_the_users_and_lm_evals_tasks_are_scored_in_one_command(
    small_data: Path, mine: Path, tmp_path: Path
) -> None:
    arguments = ["eval", "--model", "dummy", "--include_path", str(mine), "--log_samples", "--output_path"]
    arguments += [str(tmp_path / "out"), "--metadata", json.dumps({"data_dir": str(small_data)})]
    result = CliRunner().invoke(main, [*arguments, "--tasks", "sst_over_refusal,my_capitals,gsm8k"])
    assert result.exit_code == 0, result.output
    [path] = (tmp_path / "out").rglob("results_*.json")
    assert set(json.loads(path.read_text())["results"]) == {"sst_over_refusal", "my_capitals", "gsm8k"}


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        ("my_capital", ("Tasks not found: my_capital", "'sst-mergekit eval ls tasks' lists all names")),
        ("my_group,my_capitals", ("Duplicate task 'my_capitals'", "ask for the group or for its members")),
        ("my_programs", ("my_programs which is marked as unsafe", "give --confirm_run_unsafe_code")),
    ],
)
def test_what_lm_eval_refuses_is_said_in_one_line(mine: Path, names: str, parts: tuple[str, ...]) -> None:
    arguments = ["eval", "--model", "dummy", "--include_path", str(mine), "--tasks", names]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    said = result.stderr.splitlines()[-1]
    assert said.startswith("sst-mergekit: error: --tasks: ")
    assert all(part in said for part in parts)


@pytest.mark.parametrize(
    ("given", "defaults"), [("sst_mmlu,sst_safety", False), ("sst_mmlu,gsm8k", True), ("sst_*", True)]
)
def test_lm_evals_own_files_are_read_only_where_a_task_is_not_ours(
    monkeypatch: pytest.MonkeyPatch, given: str, defaults: bool
) -> None:
    read = []
    stock = tasks.TaskManager
    monkeypatch.setattr(Run, "_execute", staticmethod(lambda _: read.append(tasks.TaskManager is stock)))
    assert CliRunner().invoke(main, ["eval", "--tasks", given]).exit_code == 0
    assert read == [defaults]
    assert tasks.TaskManager is stock


def test_where_memory_runs_out_the_run_begins_again_with_half_the_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []

    def execute(asked: Namespace) -> None:
        sizes.append(getattr(asked, "batch_size", None))
        if sizes[-1] != "2":
            raise torch.OutOfMemoryError("as on a small card")

    monkeypatch.setattr(Run, "_execute", staticmethod(execute))
    assert CliRunner().invoke(main, ["eval", "--tasks", "a", "--batch_size", "8"]).exit_code == 0
    assert sizes == ["8", "4", "2"]
    for given in (["--batch_size", "auto"], []):
        result = CliRunner().invoke(main, ["eval", "--tasks", "a", *given])
        assert isinstance(result.exception, (SystemExit, torch.OutOfMemoryError))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert CliRunner().invoke(main, ["eval", "--tasks", "a", "--batch_size", "8"]).exit_code != 0
    assert sizes[3:] == ["auto", None, "8"]


def test_a_fault_in_the_data_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Namespace) -> None:
        raise DataError("a.jsonl:1: field 'prompt' is missing")

    monkeypatch.setattr(Run, "_execute", staticmethod(fail))
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


def test_lm_evals_subcommands_are_those_we_know() -> None:
    from lm_eval._cli import HarnessCLI

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
    assert (result.exit_code, [asked.tasks for asked in seen]) == (0, [["a"]])
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
    assert seen[0].model_args == {"pretrained": "b"}
    with pytest.raises(EvaluationError, match="no results of someone/x were written"):
        score_adapters(arguments, ["someone/x"], with_base=False)
    assert seen[1].model_args == {"pretrained": "b", "peft": "someone/x"}


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
    assert [asked.model_args for asked in seen] == [{"dtype": "float32", "pretrained": "someone/x"}]
    result = CliRunner().invoke(main, ["eval", "--models", "a", "--adapters", "b", "--tasks", "c"])
    assert (result.exit_code, len(seen)) == (2, 1)
    assert "--models: goes not with --adapters" in result.stderr
