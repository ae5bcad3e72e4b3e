"""Bad input through the commands: one line that says what and where, exit code 2, nothing written."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import bad_adapters
import bad_arguments
import bad_data
import bad_models
import bad_recipes
import bad_statistics
import pytest
from bad_input import Case
from click.testing import CliRunner
from torture_world import World

from sst_mergekit.cli import main

CASES = {
    f"{part}: {name}": case
    for part, cases in (
        ("recipe", bad_recipes.CASES),
        ("statistics", bad_statistics.CASES),
        ("weights", bad_adapters.CASES),
        ("models", bad_models.CASES),
        ("data", bad_data.DATA),
        ("config", bad_data.CONFIGS),
        ("arguments", bad_arguments.CASES),
    )
    for name, case in cases.items()
}
USAGE = "Usage: "
NO_FAULT = re.compile(r"^warning: |\d+%\||\d+ examples \[")  # and progress bars


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_bad_input_is_one_line(
    case: Case, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "world"
    shutil.copytree(world.root, root)
    for recipe in root.glob("*.yml"):
        recipe.write_text(recipe.read_text().replace(str(world.root), str(root)))
    case.spoil(root)
    before = listing(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = case.words.format(root=root, out=tmp_path / "new" / "out").split()
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2, (result.output, result.exception)
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    faults = [line for line in result.stderr.splitlines() if line and not NO_FAULT.search(line)]
    if faults[0].startswith(USAGE):  # click's: how it is used, where help is, and the fault
        faults = faults[-1:]
    assert any(re.search(case.line, line) for line in faults), result.stderr
    of_recipe = all(line.startswith("error: ") for line in faults)  # all that is wrong with it is told
    assert len(faults) == 1 or of_recipe, result.stderr
    assert listing(tmp_path) == before


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every name in a folder with size and time of change."""
    found = [Path(at, name) for at, folders, files in os.walk(folder) for name in folders + files]
    return {
        str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in found if not path.is_dir()
    } | {str(path): (0, 0) for path in found if path.is_dir()}
