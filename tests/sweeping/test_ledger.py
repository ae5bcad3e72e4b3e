"""The SQLite file: settings go to one process alone, scores stay, a killed process loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sst_mergekit.errors import SstError
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.sweeping.ledger import Ledger
from sst_mergekit.sweeping.sampling import Asked

RATE = Rate(0.5, None, 4)


def next_number(asked: list[Asked]) -> Asked | None:
    return Asked({"a": len(asked)}, None, {"n": len(asked)}) if len(asked) < 40 else None


def key(settings: dict) -> str:
    return f"k{settings['a']}"


def test_what_is_asked_and_told_is_there_afterwards(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "sweep.sqlite")
    assert [row.settings for row in ledger.ask("x", 2, 3, next_number, key)] == [{"a": 0}, {"a": 1}]
    assert [row.settings for row in ledger.ask("x", 2, 3, next_number, key)] == [{"a": 2}]  # the budget
    assert ledger.ask("x", 2, 3, next_number, key) == []
    assert len(ledger.ask("y", 2, None, next_number, key)) == 2  # another subject, with the same keys
    ledger.tell("x", "k1", Rate(0.9, 0.1, 10), RATE)
    rows = Ledger(tmp_path / "sweep.sqlite").rows("x")
    assert [row.key for row in rows] == ["k0", "k1", "k2"]
    assert [row.asked.scores for row in rows] == [None, (0.9, 0.5), None]
    assert rows[1].safety == Rate(0.9, 0.1, 10)
    assert rows[2].notes == {"n": 2}
    assert all(row.safety is None for row in Ledger(tmp_path / "sweep.sqlite").rows("y"))


def test_a_sampler_that_fails_takes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "sweep.sqlite")

    def fail(asked: list[Asked]) -> Asked:
        if asked:
            raise SstError("no more")
        return Asked({"a": 0})

    with pytest.raises(SstError, match="no more"):
        ledger.ask("x", 2, None, fail, key)
    assert ledger.rows("x") == []


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sweep.sqlite").write_text("not a data base, and longer than a header of SQLite " * 40)
    with pytest.raises(SstError, match=r"sweep\.sqlite: .*; choose another --out, or delete the file"):
        Ledger(tmp_path / "sweep.sqlite")


MANY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_ledger import Ledger, next_number, key
ledger = Ledger(Path(sys.argv[1]))
while rows := ledger.ask("x", 1, None, next_number, key):
    print(rows[0].key)
"""


def test_processes_never_get_the_same_settings(tmp_path: Path) -> None:
    call = [sys.executable, "-c", MANY, str(tmp_path / "sweep.sqlite"), str(Path(__file__).parent)]
    running = [subprocess.Popen(call, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    given = [process.communicate()[0].split() for process in running]
    assert sorted(sum(given, [])) == sorted(f"k{n}" for n in range(40))
