"""Units of work: named by what they depend on, made once, whole or not at all, parents first."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sst_mergekit.jobs.runner import BUSY, Runner, make_unit
from sst_mergekit.jobs.store import BusyError, Store
from sst_mergekit.jobs.unit import Unit, with_parents

CALLS = []


def write(inputs, parents, out):
    CALLS.append(inputs["text"])
    out.mkdir()
    (out / "text").write_text(inputs["text"] + "".join((p / "text").read_text() for p in parents.values()))


def fail(inputs, parents, out):
    out.mkdir()
    (out / "half").write_text("half")
    raise RuntimeError("stopped")


def slow_write(inputs, parents, out):
    time.sleep(0.05)
    write(inputs, parents, out)


def unit(text="a", work=write, name="name", **parents):
    return Unit("data", name, work, {"text": text}, parents)


@pytest.fixture(autouse=True)
def _no_calls():
    CALLS.clear()


def test_the_key_is_of_the_inputs_and_the_parents_not_of_the_name():
    assert unit(name="x").key == unit(name="y").key
    keys = {unit().key, unit("b").key, unit(work=fail).key, unit(p=unit()).key, unit(q=unit()).key}
    keys |= {unit(p=unit("b")).key, Unit("score", "", write, {"text": "a"}).key}
    assert len(keys) == 7


def test_the_key_is_the_same_in_every_process():
    assert unit().key == "804569ba43af0a816f86"


def test_layers_have_parents_first_and_each_unit_once():
    base = unit("base")
    left, right = unit("left", base=base), unit("right", base=unit("base"))
    top = unit("top", left=left, right=right, base=base)
    layers = [[one.inputs["text"] for one in layer] for layer in with_parents([top, left])]
    assert layers == [["base"], ["left", "right"], ["top"]]
    assert with_parents([]) == []


def test_a_unit_is_made_once(tmp_path):
    store, one = Store(tmp_path), unit()
    assert not store.has(one)
    assert store.make(one) is not None
    assert store.make(one) is None
    assert CALLS == ["a"]
    assert (store.path(one) / "text").read_text() == "a"
    note = json.loads((store.path(one).parent / "unit.json").read_text())
    assert (note["key"], note["inputs"], note["parents"]) == (one.key, {"text": "a"}, {})


def test_a_failure_leaves_nothing(tmp_path):
    store, one = Store(tmp_path), unit(work=fail)
    with pytest.raises(RuntimeError, match="stopped"):
        store.make(one)
    assert not store.has(one)
    assert not (tmp_path / "data").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_units import unit
from sst_mergekit.jobs.store import Store
import test_units
def die(inputs, parents, out):
    out.mkdir()
    (out / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
die.__qualname__, die.__module__ = "write", "test_units"
Store(Path(sys.argv[1])).make(unit(work=die))
"""


def test_a_kill_leaves_no_lock_and_no_half_result(tmp_path):
    call = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    assert subprocess.run(call, env=os.environ, check=False).returncode == -signal.SIGKILL
    store, one = Store(tmp_path), unit()
    assert not store.has(one)
    [left] = (tmp_path / "data").iterdir()
    assert ".partial-" in left.name
    store.make(one)
    assert [path.name for path in (tmp_path / "data").iterdir()] == [one.key]
    assert (store.path(one) / "text").read_text() == "a"
    assert not (store.path(one) / "half").exists()


def test_who_comes_second_waits_and_finds_the_result(tmp_path):
    found = []
    one = unit(work=slow_write)
    threads = [threading.Thread(target=lambda: found.append(Store(tmp_path).make(one))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert CALLS == ["a"]
    assert len(found) == 4  # nobody failed
    assert sum(seconds is not None for seconds in found) == 1


def test_what_another_run_is_making_is_left_to_it_and_then_waited_for(tmp_path):
    store, pool = Store(tmp_path), Inline()
    theirs, ours = unit("theirs"), unit("ours")
    with store._lock(theirs, wait=True):  # another process holds it
        with pytest.raises(BusyError):
            store.make(theirs, wait=False)
        first = [make_unit(tmp_path, one) for one in (theirs, ours)]
    assert first[0] == BUSY
    assert isinstance(first[1], float)
    assert CALLS == ["ours"]
    asked = []

    def busy_once(root, one, wait=False):
        asked.append((one.inputs["text"], wait))
        return make_unit(root, one, wait) if wait else BUSY

    pool.map = lambda label, function, jobs: [busy_once(*job) for job in jobs]
    runner = Runner(store, pool)
    runner.make("x", [theirs])
    assert asked == [("theirs", False), ("theirs", True)]
    assert runner.phases[0].made == 1
    assert (store.path(theirs) / "text").read_text() == "theirs"


class Inline:
    """A pool that works in this process and notes the phases."""

    def __init__(self):
        self.labels = []

    def map(self, label, function, jobs):
        self.labels.append(label)
        return [function(*job) for job in jobs]


def test_the_runner_makes_what_is_missing_parents_first(tmp_path, capsys):
    store, pool = Store(tmp_path), Inline()
    runner = Runner(store, pool)
    base = unit("base")
    tops = [unit("x", base=base), unit("y", base=base), unit("x", base=base)]
    paths = runner.make("merge", tops)
    assert [path.joinpath("text").read_text() for path in paths] == ["xbase", "ybase", "xbase"]
    assert CALLS == ["base", "x", "y"]
    runner.make("again", [*tops, unit("z", base=base)])
    assert CALLS == ["base", "x", "y", "z"]
    assert [(done.label, done.made, done.there) for done in runner.phases] == [
        ("merge", 3, 0),
        ("again", 1, 2),
    ]
    assert "made in" in capsys.readouterr().out
    assert pool.labels == ["merge: data"] * 2 + ["again: data"]
