"""What a fresh process uses: CPU seconds, wall seconds, peak memory.

`of(command)` runs a command and charges it for everything, Python's start and imports included. Where imports
or loading must not count, the command marks what does, once or several times (this folder is on its path):

    from usage import measured
    with measured():
        merge()

Then CPU and wall seconds, and the peak, are those of the marked parts alone.

Run as a script, this file is the small process between a bench and what it measures: the kernel passes the
largest size of a process on to what that process starts, and a bench that has torch in memory is large.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REGION, PROFILE = "SST_BENCH_REGION", "SST_BENCH_PROFILE"


@dataclass(frozen=True)
class Usage:
    """What one run used.

    Attributes:
        cpu: user and system seconds, of the processes it started too.
        wall: seconds.
        peak: largest resident size of any of its processes, in MB (2**20 bytes); mapped files that were read
            count.
        growth: the peak less what was resident where the marked part began; without one, the peak.
    """

    cpu: float
    wall: float
    peak: float
    growth: float


def of(command: Sequence[str | Path], *, threads: int = 1, env: Mapping[str, str] | None = None) -> Usage:
    """Return what a command uses as a fresh process, offline, with this checkout's code on its path.

    Raises:
        RuntimeError: the command failed; its last lines of stderr are in the message.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole, region = Path(folder, "whole.json"), Path(folder, "region.json")
        launched = [sys.executable, "-S", "-E", __file__, str(whole), *map(str, command)]
        surroundings = _environment(threads) | {REGION: str(region)} | dict(env or {})
        done = subprocess.run(launched, env=surroundings, capture_output=True, text=True)
        if done.returncode:
            last = "\n".join(done.stderr.splitlines()[-15:])
            raise RuntimeError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{last}")
        return Usage(**(json.loads(whole.read_text()) | _region(region)))


@contextlib.contextmanager
def measured() -> Iterator[None]:
    """Charge the process for this block alone; several blocks are added up (of the peak, the largest)."""
    with contextlib.suppress(OSError):  # the peak since now, where the kernel lets a process ask for it
        Path("/proc/self/clear_refs").write_text("5")
    resident, cpu, wall = _status("VmRSS"), _own_cpu(), time.perf_counter()
    with _profiled():
        yield
    peak = _status("VmHWM")
    part = {"cpu": _own_cpu() - cpu, "wall": time.perf_counter() - wall, "peak": peak}
    part["growth"] = peak - resident
    if region := os.environ.get(REGION):
        with open(region, "a", encoding="utf-8") as file:
            file.write(json.dumps(part) + "\n")


@contextlib.contextmanager
def _profiled() -> Iterator[None]:
    """Leave a profile where one is asked for (see `profiling.py`); it makes the process slower."""
    path = os.environ.get(PROFILE)
    if path is None:
        yield
        return
    import cProfile

    profile = cProfile.Profile(time.process_time)
    with profile:
        yield
    profile.dump_stats(path)


def _region(path: Path) -> dict[str, float]:
    if not path.is_file():
        return {}
    parts = [json.loads(line) for line in path.read_text().splitlines()]
    added = {key: sum(part[key] for part in parts) for key in ("cpu", "wall")}
    return added | {key: max(part[key] for part in parts) for key in ("peak", "growth")}


def _environment(threads: int) -> dict[str, str]:
    paths = [str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")]
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    offline = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    one = dict.fromkeys(names, str(threads))
    return os.environ | offline | one | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _own_cpu() -> float:
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in spent)


def _status(field: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{field}:")[1].split()[0]) / 1024


def _launch(result: str, command: list[str]) -> int:
    """Run a command, write what it used, and return its exit code."""
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    wall, megabytes = time.perf_counter() - start, used.ru_maxrss / 1024
    found = {"cpu": used.ru_utime + used.ru_stime, "wall": wall, "peak": megabytes, "growth": megabytes}
    Path(result).write_text(json.dumps(found))
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_launch(sys.argv[1], sys.argv[2:]))
