"""How much longer Python takes to start with our start-up files: many starts, with and without, in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSTALLED = ("sst_mergekit.pth", "sst_mergekit/__init__.py", "sst_mergekit/_hook.py")
STARTS = 300


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
def test_startup(tmp_path: Path) -> None:
    """Print the median and the fastest start of each; two of the three are alike, to show the noise."""
    environments = {
        "without": _environment(tmp_path / "without", ()),
        "without, again": _environment(tmp_path / "again", ()),
        "with the hook": _environment(tmp_path / "with", INSTALLED),
    }
    times: dict[str, list[float]] = {name: [] for name in environments}
    for _ in range(STARTS):
        for name, python in environments.items():
            times[name].append(_milliseconds(python))
    first = times["without"]
    print(f"\nPython's start-up, {STARTS} starts each, ms")
    for name, taken in times.items():
        median, fastest = statistics.median(taken), min(taken)
        more = f"({median - statistics.median(first):+.2f}, {fastest - min(first):+.2f})"
        print(f"  {name:15} median {median:6.2f}  fastest {fastest:6.2f}  {more}")
