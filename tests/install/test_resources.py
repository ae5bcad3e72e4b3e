"""The data folders are found in the package (a wheel) and beside it (a checkout), the package's own first."""

from __future__ import annotations

from pathlib import Path

import pytest

from sst_mergekit import resources
from sst_mergekit.errors import SstError

FOLDERS = [("lm_eval_tasks", resources.tasks_path), ("merge_configs", resources.recipes_path)]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "sst_mergekit"
    package.mkdir()
    monkeypatch.setattr(resources, "_PACKAGE", package)
    return package


@pytest.mark.parametrize(("name", "find"), FOLDERS)
def test_in_the_package(package: Path, name: str, find) -> None:
    (package / name).mkdir()
    (package.parent / name).mkdir()
    assert find() == package / name


@pytest.mark.parametrize(("name", "find"), FOLDERS)
def test_beside_the_package(package: Path, name: str, find) -> None:
    (package.parent / name).mkdir()
    assert find() == package.parent / name


@pytest.mark.parametrize(("name", "find"), FOLDERS)
def test_nowhere(package: Path, name: str, find) -> None:
    with pytest.raises(SstError, match=f"{name}: folder not found beside .*; reinstall sst-mergekit"):
        find()
