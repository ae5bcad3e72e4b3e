"""Sweeps that are killed, continued and shared: each setting scored once, and all of them reported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.store import Store
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.sweeping.ledger import Ledger, Row
from sst_mergekit.sweeping.report import front, report, table
from sst_mergekit.sweeping.run import Search, sweep
from sst_mergekit.sweeping.space import parse_all
from sst_mergekit.sweeping.subject import Objectives, Subject
from sst_mergekit.testbeds.scoring import TABLE

OBJECTIVES = Objectives(("s:rate",), ("u:rate",))
LOG = "SWEEP_TEST_LOG"


class Inline:
    def map(self, _label: str, function, jobs) -> list:  # noqa: ANN001
        return [function(*job) for job in jobs]


def score(inputs, parents, out) -> None:  # noqa: ANN001
    """Write a table; the process that is to die does so half-way through its third setting."""
    with open(os.environ[LOG], "a") as log:
        print(inputs["strength"], file=log)
        log.flush()
        out.mkdir()
        if len(Path(os.environ[LOG]).read_text().split()) == int(os.environ.get("SWEEP_TEST_DIES", "-1")):
            os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    rates = {"s": inputs["strength"], "u": 1 - inputs["strength"] ** 2}
    body = {task: {"rate": {"value": rate, "stderr": None, "n": 1}} for task, rate in rates.items()}
    (out / TABLE).write_text(json.dumps(body))


def swept(out: Path, sampler: str, together: int = 2) -> dict[str, list[Row]]:
    space = parse_all(["strength=0:0.9:10"])
    subject = Subject("made", space, lambda settings: Unit("score", "made", score, settings), None)
    search = Search(sampler, None if sampler == "grid" else 8, 0, together)
    return sweep(
        [subject], OBJECTIVES, search, Ledger(out / "sweep.sqlite"), Runner(Store(out / "units"), Inline())
    )


@pytest.mark.parametrize("sampler", ["grid", "tpe"])
def test_a_kill_and_two_at_once_score_each_setting_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv(LOG, str(log))
    call = [sys.executable, __file__, str(tmp_path), sampler]
    killed = subprocess.run(call, env=os.environ | {"SWEEP_TEST_DIES": "3"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    begun = log.read_text().split()
    assert len(begun) == 3
    rows = Ledger(tmp_path / "sweep.sqlite").rows(_key())
    assert [row.safety is None for row in rows] == [False, False, True, True]  # asked two at a time
    pair = [subprocess.Popen(call) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0]
    scored = log.read_text().split()
    scored.remove(begun[2])  # begun by the killed one, made again
    count = 10 if sampler == "grid" else 8
    assert len(scored) == len(set(scored)) == count
    [found] = swept(tmp_path, sampler).values()
    assert len(log.read_text().split()) == count + 1  # nothing was left to do
    assert {row.safety.value for row in found if row.safety} == {float(text) for text in scored}
    assert all(row.safety == Rate(row.settings["strength"], None, 1) for row in found)


def _key() -> str:
    return Subject("made", (), lambda settings: Unit("score", "", score, settings), None).key(OBJECTIVES)


def point(safety: float, utility: float, strength: float = 1.0) -> Row:
    return Row("k", {"strength": strength}, {}, Rate(safety, 0.1, 9), Rate(utility, None, 9))


def test_the_report_holds_fronts_of_each_and_of_all() -> None:
    found = {"a": [point(0.2, 0.9), point(0.8, 0.3), point(0.1, 0.1)], "b": [point(0.8, 0.5, 2.0)]}
    body = report(found, OBJECTIVES, {"sampler": "grid"})
    assert [(one["subject"], one["safety"]["value"]) for one in body["front"]] == [("a", 0.2), ("b", 0.8)]
    assert body["subjects"]["a"]["tried"] == 3
    assert body["subjects"]["a"]["hypervolume"] == pytest.approx(0.2 * 0.9 + 0.6 * 0.3)
    assert len(body["subjects"]["a"]["front"]) == 2
    assert json.loads(json.dumps(body)) == body
    assert "| 0.800 ± 0.196 | 0.500 | b | strength 2 |" in table(body)


def test_of_equal_settings_the_first_is_on_the_front() -> None:
    body = report({"a": [point(0.5, 0.5, 1.0), point(0.5, 0.5, 2.0)]}, OBJECTIVES, {})
    assert [one["settings"] for one in front(body["subjects"]["a"]["points"])] == [{"strength": 1.0}]


if __name__ == "__main__":
    swept(Path(sys.argv[1]), sys.argv[2])
