"""Units of work on a local Ray cluster of two workers: one is killed in the middle, its unit made again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sst_mergekit.errors import SstError
from sst_mergekit.jobs import cluster
from sst_mergekit.jobs.cluster import Cluster, workers
from sst_mergekit.jobs.runner import Runner
from sst_mergekit.jobs.store import Store
from sst_mergekit.jobs.unit import Unit

pytestmark = pytest.mark.slow
RETRIES = 1  # fewer than without the test: each costs a new process


def write(inputs, parents, out) -> None:  # noqa: ANN001
    """Write a text, and note who began; of 'slow' the first one takes until it is killed."""
    notes, text = Path(inputs["notes"]), inputs["text"]
    with notes.open("a") as file:
        print(text, os.getpid(), file=file)
    if text == "slow" and notes.read_text().count("slow") == 1:
        time.sleep(600)
    if text == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    if text == "faulty":
        raise SstError("models[0]: a fault")
    out.mkdir()
    (out / "text").write_text(text + "".join((path / "text").read_text() for path in parents.values()))


def unit(notes: Path, text: str, **parents: Unit) -> Unit:
    return Unit("data", text, write, {"notes": str(notes), "text": text}, parents)


def kill_the_slow_one(notes: Path) -> None:
    """Kill the worker that makes 'slow', once it has begun."""
    while not (notes.is_file() and "slow" in notes.read_text()):
        time.sleep(0.1)
    pid = next(line.split()[1] for line in notes.read_text().splitlines() if line.startswith("slow"))
    os.kill(int(pid), signal.SIGKILL)


def failure(make, *units: Unit) -> str:  # noqa: ANN001
    try:
        make("fail", units)
    except SstError as error:
        return str(error)
    return "none"


def drive(folder: Path) -> dict[str, Any]:
    """Return what happened on a cluster of two machines, as Ray sees them, with one CPU each."""
    from ray.cluster_utils import Cluster as Local

    cluster.RETRIES = RETRIES
    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    local = Local(initialize_head=True, head_node_args=node | {"include_dashboard": False})
    local.add_node(**node)
    notes = folder / "notes"
    base = unit(notes, "base")
    tops = [unit(notes, text, base=base) for text in ("slow", "a", "b", "c")]
    Thread(target=kill_the_slow_one, args=(notes,), daemon=True).start()
    try:
        with workers(local.address, 1, folder / "log.txt", progress=False) as pool:
            runner = Runner(Store(folder / "units"), pool)
            texts = [(path / "text").read_text() for path in runner.make("top", tops)]
            faults = [failure(runner.make, unit(notes, text)) for text in ("faulty", "deadly")]
        kind = type(pool).__name__
    finally:
        local.shutdown()
    deadly = unit(notes, "deadly").key
    return {"deadly": deadly, "texts": texts, "faults": faults, "made": runner.phases[0].made, "pool": kind}


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What `drive` returns, in a process of its own, with Ray's files in a folder that goes away."""
    pytest.importorskip("ray", reason="the extra 'ray' is optional")
    out = tmp_path_factory.mktemp("cluster")
    short = tempfile.mkdtemp(prefix="r")  # Ray's sockets lie below, and their names have a limit
    environment = {"RAY_TMPDIR": short, "RAY_USAGE_STATS_ENABLED": "0", "RAY_memory_monitor_refresh_ms": "0"}
    call = [sys.executable, __file__, str(out)]
    try:
        done = subprocess.run(
            call, capture_output=True, text=True, env=os.environ | environment, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        time.sleep(1)
        yield json.loads(done.stdout.splitlines()[-1]) | {"out": out, "left": living(short)}
    finally:
        for pid in living(short):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(short, ignore_errors=True)


def living(folder: str) -> list[int]:
    """Return the processes that were started with Ray's files in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"RAY_TMPDIR={folder}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has ended
    return found


def began(happened: dict[str, Any]) -> Counter[str]:
    return Counter(line.split()[0] for line in (happened["out"] / "notes").read_text().splitlines())


def test_a_killed_workers_unit_is_made_again(happened: dict[str, Any]) -> None:
    assert happened["pool"] == "Cluster"
    assert happened["texts"] == ["slowbase", "abase", "bbase", "cbase"]
    assert happened["made"] == 5
    assert {text: began(happened)[text] for text in ("base", "slow", "a", "b", "c")} == {
        "base": 1,
        **{"slow": 2, "a": 1, "b": 1, "c": 1},
    }
    left = {path.name.split(".")[1] for path in (happened["out"] / "units/data").glob(".*")}
    assert left <= {happened["deadly"]}  # nothing half-made of the others
    assert "made in" in (happened["out"] / "log.txt").read_text()


def test_retries_have_an_end_and_faults_have_none(happened: dict[str, Any]) -> None:
    faulty, deadly = happened["faults"]
    assert faulty == "models[0]: a fault"
    assert f"died {RETRIES + 1} times" in deadly
    assert (began(happened)["faulty"], began(happened)["deadly"]) == (1, RETRIES + 1)


def test_no_process_is_left(happened: dict[str, Any]) -> None:
    assert happened["left"] == []


def test_no_cluster_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SstError, match=r"--ray: needs Ray; pip install 'sst-mergekit\[ray\]'"):
        Cluster("auto", tmp_path / "log.txt")


if __name__ == "__main__":
    print(json.dumps(drive(Path(sys.argv[1]))))
