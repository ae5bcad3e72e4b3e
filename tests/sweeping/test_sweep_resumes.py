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

from sst_mergekit.errors import SstError
from sst_mergekit.experiments.results import Point
from sst_mergekit.experiments.strategies.sampled import sampled
from sst_mergekit.experiments.strategies.space import parse_all
from sst_mergekit.experiments.sweep import Objectives, Subject, earlier, sweep
from sst_mergekit.files import write_text
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.store import Store
from sst_mergekit.jobs.unit import Unit
from sst_mergekit.metrics.estimate import Rate
from sst_mergekit.reporting.sweep import front, report, table
from sst_mergekit.testbeds.scores import Scores
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


def made(settings: dict) -> Unit:
    return Unit("score", "made", score, settings)


def swept(
    out: Path, sampler: str, objectives: Objectives = OBJECTIVES, values: str = "0:0.9:10"
) -> list[Point]:
    """Do as the command does."""
    subject = Subject("made", parse_all([f"strength={values}"]), made)
    before, runner = earlier(out / "sweep.json"), Runner(Store(out / "units"), Inline())
    found = sweep([subject], objectives, lambda space: sampled(sampler, space, 8, 0), before, runner)
    write_text(out / "sweep.json", json.dumps(report(found, objectives, {})))
    return found["made"]


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe", "nsga2"])
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
    assert len(list(tmp_path.glob("units/score/*/unit.json"))) == 2
    pair = [subprocess.Popen(call) for _ in range(2)]
    assert [process.wait() for process in pair] == [0, 0]
    scored = log.read_text().split()
    scored.remove(begun[2])  # begun by the killed one, made again
    count = 10 if sampler == "grid" else 8
    assert len(scored) == len(set(scored)) == count
    subprocess.run(call, check=True)
    assert len(log.read_text().split()) == count + 1  # nothing was left to do
    found = json.loads((tmp_path / "sweep.json").read_text())["subjects"]["made"]["points"]
    assert {point["safety"]["value"] for point in found} == {float(text) for text in scored}
    assert all(point["safety"]["value"] == point["settings"]["strength"] for point in found)
    assert len(found) == count


def test_another_start_takes_over_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    first = swept(tmp_path, "grid", values="0.1,0.2")
    both = swept(tmp_path, "grid", values="0.2,0.3")
    assert both[:2] == first
    assert [point.settings["strength"] for point in both] == [0.1, 0.2, 0.3]
    assert (tmp_path / "log").read_text().split() == ["0.1", "0.2", "0.3"]  # once each
    [other, *_] = swept(tmp_path, "grid", Objectives(("u:rate",), ("s:rate",)), "0.2,0.3")
    assert other.dev.safety == first[0].dev.utility  # the figures are those of the metrics asked for


def test_scores_of_other_models_are_not_mixed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    swept(tmp_path, "grid", values="0.1,0.2")
    monkeypatch.setitem(globals(), "made", lambda s: Unit("score", "made", score, s | {"model": "other"}))
    assert [point.settings["strength"] for point in swept(tmp_path, "grid", values="0.3")] == [0.3]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    for text in ("not JSON", "[]", '{"subjects": [1]}', '{"subjects": {"a": {}}}'):
        (tmp_path / "sweep.json").write_text(text)
        with pytest.raises(SstError, match=r"sweep\.json: not of a sweep; choose another --out, or delete"):
            earlier(tmp_path / "sweep.json")


def point(safety: float, utility: float, strength: float = 1.0) -> Point:
    return Point({"strength": strength}, Scores(Rate(safety, 0.1, 9), {"u": Rate(utility, None, 9)}))


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
