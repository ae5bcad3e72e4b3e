"""What commands print: results on stdout, as text or JSON; all else on stderr; colour on terminals alone."""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from sst_mergekit.cli import COMMANDS, main, output
from sst_mergekit.errors import SstError

HOSTS = {"eval", "yaml"}  # lm-eval's and mergekit's own options
PRINT_NOTHING_ELSE = {"completion"}


def commands() -> list[tuple[str, click.Command]]:
    found = []
    for name, (module, _) in COMMANDS.items():
        command = importlib.import_module(module).command
        group = isinstance(command, click.Group)
        found += command.commands.items() if group else [(name, command)]
    return [(name, command) for name, command in found if name not in HOSTS | PRINT_NOTHING_ELSE]


def run(function, *arguments: str, **settings) -> Result:
    """Call a command with a function of its own, below the real group."""

    class Group(type(main)):
        def get_command(self, ctx, cmd_name):
            return click.command("made", cls=output.Command)(function)

    return CliRunner().invoke(Group("sst-mergekit"), ["made", *arguments], **settings)


@pytest.mark.parametrize(("name", "command"), commands())
def test_every_command_prints_json_and_says_what(name: str, command: click.Command) -> None:
    assert isinstance(command, output.Command)
    options = {flag for option in command.params for flag in option.opts}
    assert {"--json", "--quiet", "--verbose"} <= options
    assert "--json prints" in " ".join((command.help or "").split())


def speak() -> None:
    print("a library's chatter")
    output.note("a note")
    output.warn("a warning")
    output.result({"out": Path("a/b"), "tax": float("inf"), "name": "é"}, "done: a/b")


def test_text() -> None:
    result = run(speak)
    assert result.stdout == "a library's chatter\ndone: a/b\n"
    assert result.stderr == "a note\nwarning: a warning\n"


def test_json_alone_is_on_stdout() -> None:
    result = run(speak, "--json")
    assert json.loads(result.stdout) == {"out": "a/b", "tax": None, "name": "é"}
    assert "a library's chatter\n" in result.stderr
    assert result.stderr.endswith("a note\nwarning: a warning\n")
    assert run(speak).stdout == "a library's chatter\ndone: a/b\n"  # nothing of it is left behind


def test_quiet_leaves_result_and_warnings() -> None:
    result = run(speak, "--quiet")
    assert (result.stdout, result.stderr) == ("a library's chatter\ndone: a/b\n", "warning: a warning\n")


def test_quiet_silences_the_hubs_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_DISABLE_PROGRESS_BARS", raising=False)
    seen = []

    def look() -> None:
        seen.append((output.progress(), os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")))

    run(look)
    run(look, "--quiet")
    assert seen == [(True, None), (False, "1")]
    assert "HF_HUB_DISABLE_PROGRESS_BARS" not in os.environ


def stumble() -> None:
    logging.getLogger("sst_mergekit.made").info("about to stumble")
    raise SstError("here: a stone; go round it")


def test_verbose_shows_the_log_and_the_traceback() -> None:
    assert run(stumble).stderr == "sst-mergekit: error: here: a stone; go round it\n"
    result = run(stumble, "--verbose")
    assert result.exit_code == 2
    assert "sst_mergekit.made: about to stumble" in result.stderr
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("sst-mergekit: error: here: a stone; go round it\n")


def test_an_error_leaves_stdout_empty() -> None:
    result = run(stumble, "--json")
    assert (result.exit_code, result.stdout) == (2, "")


def test_quiet_and_verbose_contradict() -> None:
    result = run(speak, "--quiet", "--verbose")
    assert result.exit_code == 2
    assert "--quiet, --verbose: give one of them" in result.stderr


def test_colour_on_a_terminal_unless_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31merror:" in run(stumble, color=True).stderr  # color: as if it were a terminal
    assert "\x1b" not in run(stumble).stderr
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(stumble, color=True).stderr


def test_a_real_terminal_and_a_pipe(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    line = [sys.executable, "-m", "sst_mergekit", "push", str(tmp_path / "nothing"), "user/name"]
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ours, theirs = pty.openpty()
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    shown = os.read(ours, 10_000)
    os.close(ours)
    assert done.returncode == 2
    assert b"\x1b[31merror:" in shown
    piped = subprocess.run(line, capture_output=True, env=environment)
    assert b"\x1b" not in piped.stderr
    assert b"error: " in piped.stderr


def test_the_check_as_json(project: Path) -> None:
    good = CliRunner().invoke(main, ["check", "sst.yml", "--json"])
    assert json.loads(good.stdout) == {"recipe": "sst.yml", "ok": True, "faults": []}
    bad = CliRunner().invoke(main, ["check", "bad.yml", "--json"])
    assert bad.exit_code == 2
    body = json.loads(bad.stdout)
    assert not body["ok"]
    assert [fault["where"] for fault in body["faults"]] == ["dtpye", "parameters.strenght"]
    assert {"where", "what", "warning"} == set(body["faults"][0])


def test_statistics_and_their_inspection_as_json(project: Path) -> None:
    line = ["fisher", "--model", "utility", "--data", "data.jsonl", "--out", "new", "--json"]
    made = json.loads(CliRunner().invoke(main, line).stdout)
    assert (made["out"], made["kind"], made["sequences"]) == ("new", "kronecker", 3)
    body = json.loads(CliRunner().invoke(main, ["inspect", "sst.yml", "--no-check", "--json"]).stdout)
    first = body["weights"][0]
    assert 0 < first["kept"]["norm"] < 1
    assert len(first["kept"]["spectrum"]) == 5


def test_a_merged_adapter_as_json(project: Path) -> None:
    models = [{"model": f"{project}/base+{project}/guard", "parameters": {"weight": 0.5}}]
    one = {"merge_method": "task_arithmetic", "base_model": f"{project}/base", "models": models}
    Path("one.yml").write_text(json.dumps(one | {"dtype": "float32"}))
    done = CliRunner().invoke(main, ["lora", "one.yml", "out", "--json"])
    body = json.loads(done.stdout)
    assert (body["exact"], body["retained"]) == (True, 1.0)
    assert {layer["rank"] for layer in body["layers"]} == {2}
