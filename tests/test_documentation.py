"""What the README and the docstrings say is so."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import sst_mergekit
from sst_mergekit.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(sst_mergekit.__path__, "sst_mergekit.")
    if not module.name.endswith(("__main__", "sandbox_child"))
)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_hold(name):
    failed, _ = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_every_command_is_listed():
    for name in COMMANDS:
        assert f"`sst-mergekit {name}" in README


def test_every_command_has_help():
    for name in COMMANDS:
        if name != "eval":  # lm-eval's own help: tested with it
            result = CliRunner().invoke(main, [name, "--help"])
            assert result.exit_code == 0, name
            assert "Usage" in result.output


def test_the_parameter_table_is_the_methods():
    from sst_mergekit.plugin.method import sst

    rows = dict(re.findall(r"^\| `(\w+)` \| `?([\w.]+)`? \|", README, flags=re.MULTILINE))
    for parameter in sst.spec.shared_parameters:
        assert rows[parameter.name] == str(parameter.default), parameter.name


def test_every_task_is_listed():
    for folder in (ROOT / "lm_eval_tasks").iterdir():
        if folder.is_dir() and folder.name.startswith("sst_"):
            assert f"`{folder.name}`" in README


def test_links_to_files_hold():
    for target in re.findall(r"\]\((?!https?://|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
    for target in re.findall(r"`((?:sst_mergekit|tests|merge_configs|lm_eval_tasks)/[\w./-]*)`", README):
        assert (ROOT / target).exists(), target
