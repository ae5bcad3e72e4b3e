"""Where the time goes: in a side's marked part by function, at a command's start by package."""

from __future__ import annotations

import os
import pstats
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import turns
import usage
from turns import Side

from sst_mergekit.metrics import text

LINES = 12
IMPORTED = re.compile(r"import time: +(\d+) \| +\d+ \| +([^.\s]+)")


def table(side: Side) -> str:
    """Return the functions with most CPU time of their own, as markdown; the side is run once for it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "profile")
        turns.remove(side.fresh)
        usage.of(side.command, env={**side.env, usage.PROFILE: str(path)})
        turns.remove(side.fresh)
        found = pstats.Stats(str(path)).stats  # type: ignore[attr-defined]
    whole = sum(own for _, _, own, _, _ in found.values())
    longest = sorted(found.items(), key=lambda item: -item[1][2])[:LINES]
    rows = [
        (f"`{_where(*place)}`", f"{calls}", f"{own:.2f}", f"{100 * own / whole:.0f} %", f"{with_calls:.2f}")
        for place, (_, calls, own, with_calls, _) in longest
    ]
    return text.table(("function", "calls", "own CPU s", "share", "with what it calls"), rows).rstrip()


def imports(command: Sequence[str | Path]) -> str:
    """Return the packages that take longest to import, as markdown; the command is run once for it."""
    env = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    told = subprocess.run(command, env=env, stderr=subprocess.PIPE, text=True, check=True).stderr
    seconds, modules = Counter(), Counter()
    for micro, package in IMPORTED.findall(told):
        seconds[package] += int(micro) / 1e6
        modules[package] += 1
    whole = seconds.total()
    rows = [
        (f"`{package}`", f"{modules[package]}", f"{own:.2f}", f"{100 * own / whole:.0f} %")
        for package, own in seconds.most_common(LINES)
    ]
    return text.table(("package", "modules", "own wall s", "share"), rows).rstrip()


def _where(file: str, line: int, name: str) -> str:
    return name.strip("<>") if file == "~" else f"{'/'.join(Path(file).parts[-2:])}:{line} {name}"
