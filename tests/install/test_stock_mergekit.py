"""The hook beside the real mergekit: every stock command, opting out, a broken plugin, orders of import."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fresh_environment import PIP_INSTALL, Environment, fresh_environment
from merging import linear_recipe, same_weights, sst_recipe, written

pytestmark = pytest.mark.slow

KNOWN = "from mergekit.merge_methods import registry; print(registry.get('sst').spec.name)\n"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = fresh_environment(tmp_path_factory.mktemp("environment") / "venv")
    environment.run("python", *PIP_INSTALL, wheel)
    return environment


@pytest.fixture
def broken(wheel: Path, tmp_path: Path) -> Environment:
    environment = fresh_environment(tmp_path / "venv")
    environment.run("python", *PIP_INSTALL, wheel)
    (environment.packages / "sst_mergekit/plugin/method.py").write_text("raise OSError('broken')")
    return environment


def test_mergekit_multi_merges(installed: Environment, models: dict[str, str], tmp_path: Path) -> None:
    stages = written(
        tmp_path, sst_recipe(models) | {"name": "first"}, sst_recipe(models | {"skilled": "first"})
    )
    folders = ["--intermediate-dir", tmp_path / "stages", "--out-path", tmp_path / "merged"]
    installed.stock("mergekit-multi", stages, *folders, "--no-copy-tokenizer")
    assert same_weights(tmp_path / "merged", models["skilled"], patches=2)


def test_mergekit_pytorch_merges(installed: Environment, models: dict[str, str], tmp_path: Path) -> None:
    recipe = written(tmp_path, sst_recipe(models, "/model.safetensors"))
    installed.stock("mergekit-pytorch", recipe, tmp_path / "merged")
    assert same_weights(tmp_path / "merged", models["skilled"], patches=1)


def test_opting_out(installed: Environment) -> None:
    code = f"try:\n {KNOWN}except RuntimeError as error: print(error)"
    assert installed.python(code, SST_MERGEKIT_NO_HOOK="1") == ("Unimplemented merge method sst", "")


def test_our_modules_raise_no_warnings(installed: Environment) -> None:
    strict = "import torch, transformers, pydantic, warnings; warnings.simplefilter('error')\n"
    assert installed.python(strict + KNOWN) == ("sst", "")


def test_registering_loads_no_reader_of_checkpoints(installed: Environment) -> None:
    code = KNOWN + "import sys; print([name for name in sys.modules if name.startswith('mergekit.io')])"
    assert installed.python(code) == ("sst\n[]", "")


def test_a_broken_plugin_leaves_mergekits_own_methods(
    broken: Environment, models: dict[str, str], tmp_path: Path
) -> None:
    recipe = written(tmp_path, linear_recipe(models))
    _, complaints = broken.stock("mergekit-yaml", recipe, tmp_path / "merged", "--no-copy-tokenizer")
    ours = [line for line in complaints.splitlines() if "sst" in line]
    assert ours == ["sst-mergekit: merge method 'sst' is not available: OSError: broken"]
    assert same_weights(tmp_path / "merged", models["skilled"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_each_module_of_the_plugin_may_be_imported_first(installed: Environment) -> None:
    """Forked from one process that has loaded the libraries but neither mergekit nor the plugin."""
    parts = installed.python(
        "import sys\n" + KNOWN + "print(*(name for name in sys.modules if name.startswith('sst_mergekit.')))"
    )[0].split()[1:]
    code = f"""
import importlib, os, torch, transformers, pydantic
for name in {parts}:
    child = os.fork()
    if not child:
        importlib.import_module(name)
        from mergekit.merge_methods import registry
        registry.get("sst")
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(name)
"""
    assert "sst_mergekit.plugin.patching" in parts
    assert installed.python(code) == ("", "")
