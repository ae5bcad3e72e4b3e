"""How long commands take to start, and how much longer Python does with our start-up files."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest
import timed_merges
import usage
from made_models import checkpoint, sized
from made_statistics import statistics as statistics_of
from report import Report

ROOT = Path(__file__).parents[2]
INSTALLED = ("sst_mergekit.pth", "sst_mergekit/__init__.py", "sst_mergekit/_hook.py")
STARTS = 300
SECTION = "Start-up and scoring"


def _milliseconds(python: Path) -> float:
    start = time.perf_counter()
    subprocess.run([python, "-c", "pass"], env={}, cwd=python.parent, check=True)
    return 1000 * (time.perf_counter() - start)


def _environment(folder: Path, files: tuple[str, ...]) -> Path:
    """Return the Python of an empty environment that has these files of ours in its site-packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    packages = next(folder.glob("[Ll]ib/**/site-packages"))
    for name in files:
        (packages / name).parent.mkdir(exist_ok=True)
        (packages / name).write_bytes((ROOT / name).read_bytes())
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    _milliseconds(python)  # the first start writes the compiled files
    return python


@pytest.mark.bench
def test_hook(report: Report, tmp_path: Path) -> None:
    """Record what the hook adds to Python's start; an environment without it, twice, shows the noise."""
    environments = {
        "without": _environment(tmp_path / "without", ()),
        "without, again": _environment(tmp_path / "again", ()),
        "with": _environment(tmp_path / "with", INSTALLED),
    }
    times: dict[str, list[float]] = {name: [] for name in environments}
    for _ in range(STARTS):
        for name, python in environments.items():
            times[name].append(_milliseconds(python))
    first = statistics.median(times["without"])
    for name in ("without, again", "with"):
        more = statistics.median(times[name]) - first
        report.figure(SECTION, f"Python's start {name} the hook, more than without", [more], "ms")


@pytest.mark.bench
def test_help(report: Report) -> None:
    """Record the seconds of ``sst-mergekit --help``."""
    command = [sys.executable, "-m", "sst_mergekit", "--help"]
    used = [usage.of(command) for _ in range(7)]
    report.figure(SECTION, "sst-mergekit --help, wall", [each.wall for each in used], "s", at_most=0.3)
    report.figure(SECTION, "sst-mergekit --help, CPU", [each.cpu for each in used], "s")


@pytest.mark.bench
def test_check(report: Report, tmp_path: Path) -> None:
    """Record the seconds of ``sst-mergekit check``, and what imports cost of them."""
    sizes = sized(10)
    base = checkpoint(tmp_path / "base", sizes, 0)
    made = [statistics_of(tmp_path / f"fisher{seed}", sizes, "kronecker", seed) for seed in (1, 2)]
    experts = [
        (checkpoint(tmp_path / role, sizes, seed, base), {"role": role, "fisher": str(fisher)})
        for seed, role, fisher in zip((1, 2), ("utility", "safety"), made, strict=True)
    ]
    recipe = timed_merges.recipe(tmp_path / "sst.yml", "sst", base, experts, on_missing="keep")
    command = [sys.executable, "-m", "sst_mergekit", "check", recipe]
    used = [usage.of(command) for _ in range(5)]
    found = report.figure(SECTION, "sst-mergekit check, wall", [each.wall for each in used], "s", at_most=2)
    report.figure(SECTION, "sst-mergekit check, CPU", [each.cpu for each in used], "s")
    report.figure(SECTION, "sst-mergekit check, peak memory", [each.peak for each in used], "MB")
    if found > 2:
        title = "check: what it imports; torch and transformers are mergekit's own imports"
        report.imports(SECTION, title, command)
