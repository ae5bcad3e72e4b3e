import signal
import subprocess
import sys
import time

import psutil
import pytest

from sst_mergekit.jobs.pool import Pool


def square(n):
    print("to the log")
    return n * n


def fail(n):
    raise ValueError(f"job {n} failed")


def test_results_come_back_in_order_and_prints_go_to_the_log(tmp_path, capfd):
    with Pool(2, tmp_path / "log.txt", progress=False) as pool:
        assert pool.map("squares", square, [(n,) for n in range(7)]) == [n * n for n in range(7)]
    assert "to the log" in (tmp_path / "log.txt").read_text()
    assert "to the log" not in capfd.readouterr().out


def test_a_failure_ends_the_phase(tmp_path):
    with (
        Pool(1, tmp_path / "log.txt", progress=False) as pool,
        pytest.raises(ValueError, match="job 3 failed"),
    ):
        pool.map("failures", fail, [(3,)])


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from sst_mergekit.jobs.pool import Pool
from sst_mergekit.files import temporary_directory

def doze(folder):
    with temporary_directory(Path(folder) / "made") as begun:
        (begun / "half").write_text("x")
        with open(folder + "/pids", "a") as file:
            print(os.getpid(), file=file)
        time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts deaf to it
    with Pool(2, Path(sys.argv[1]) / "log.txt", progress=False) as pool:
        pool.map("doze", doze, [(sys.argv[1],)] * 2)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_end_of_a_run_ends_its_workers_and_removes_what_they_had_begun(tmp_path, how):
    (tmp_path / "main.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "main.py"), str(tmp_path)], stderr=subprocess.DEVNULL
    )
    pids = tmp_path / "pids"
    deadline = time.monotonic() + 600  # generous: the machine may be busy
    while not (pids.is_file() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(list(tmp_path.glob(".made.partial-*"))) == 2
    process.send_signal(how)
    assert process.wait(timeout=300) != 0
    for pid in map(int, pids.read_text().split()):
        while how == signal.SIGKILL and alive(pid):  # its parent no longer waits for it
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not alive(pid)
    assert not list(tmp_path.glob(".made.*"))


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # in a container nobody may bury orphans
    except psutil.NoSuchProcess:
        return False
