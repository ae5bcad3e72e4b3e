from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_mergekit.cli import main
from sst_mergekit.cli.eval import with_our_tasks
from sst_mergekit.errors import DataError
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


def test_lm_evals_subcommands_are_those_we_know(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval._cli import HarnessCLI

    from sst_mergekit.cli.eval import SUBCOMMANDS

    assert set(HarnessCLI()._subparsers.choices) == set(SUBCOMMANDS)
