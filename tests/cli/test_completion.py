"""Completion scripts: sourced in a real shell, and no torch for what they ask."""

from __future__ import annotations

import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from sst_mergekit.cli import COMMANDS, main


def script(shell: str) -> str:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def on_path(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which ``sst-mergekit`` is this code's."""
    command = tmp_path / "bin" / "sst-mergekit"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom sst_mergekit.cli import main\n\nmain()\n")
    command.chmod(0o755)
    return {**os.environ, "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}"}


def completed(words: list[str], environment: dict[str, str]) -> list[str]:
    """Return what bash offers for the last word, after sourcing the script."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    line = " ".join(f"'{word}'" for word in words)
    ask = (
        f'eval "$(sst-mergekit completion bash)"\nCOMP_WORDS=({line})\nCOMP_CWORD={len(words) - 1}\n'
        "complete -p sst-mergekit >/dev/null || exit 9\n"
        "_sst_mergekit_completion sst-mergekit\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    )
    done = subprocess.run([bash, "-c", ask], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


def test_bash_completes_commands_and_options(on_path: dict[str, str]) -> None:
    assert completed(["sst-mergekit", "ta"], on_path) == ["tasks-path", "tally"]
    assert completed(["sst-mergekit", "init", "--s"], on_path) == ["--safety", "--strength"]
    assert completed(["sst-mergekit", "init", "--method", "da"], on_path) == ["dare_ties"]


@pytest.mark.parametrize(
    ("shell", "sign"), [("zsh", "#compdef sst-mergekit"), ("fish", "complete --no-files")]
)
def test_scripts_of_the_other_shells(shell: str, sign: str) -> None:
    text = script(shell)
    assert sign in text
    assert f"_SST_MERGEKIT_COMPLETE={shell}_complete" in text
    if installed := shutil.which(shell):
        subprocess.run([installed, "-n"], input=text, text=True, check=True)  # its syntax


def test_an_unknown_shell_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == 2


def test_no_command_needs_torch_to_be_completed_or_explained() -> None:
    modules = sorted({module for module, _ in COMMANDS.values()})
    code = f"import importlib, sys\nfor name in {modules}:\n    importlib.import_module(name)\n"
    code += "print(sorted({'torch', 'transformers', 'mergekit', 'lm_eval', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_kinds_that_fisher_offers_are_all_there_are() -> None:
    from sst_mergekit.core.geometries import GEOMETRIES
    from sst_mergekit.statistics import kinds

    files = {module.name for module in pkgutil.iter_modules(kinds.__path__)} - {"kind"}
    assert {kind.name for kind in kinds.KINDS.values()} == files == set(GEOMETRIES)
    assert tuple(kinds.KINDS) == kinds.KIND_NAMES
