"""Runs an untrusted program against trusted tests in child processes, and says whether it passed.

A fresh ``python -I -S`` with an empty environment and a temporary working directory, removed afterwards,
splits off two processes for each program (see `keeping` for when it serves more than one). The judge runs
the tests; the program runs beside it and is asked, through a pipe, to call its functions. Only plain data
(numbers, strings, lists, dicts …) goes through, so the tests, the verdict and the random word that proves
it are never in the program's process: it can give right answers or wrong ones, and nothing else. Leaving
early, overwriting builtins or an answer that calls itself equal to everything is no pass. What it changes
in its arguments the tests do not see. A name the tests do not define is the program's (never a
builtin's): give the tests the helpers they trust.

Both processes have limits on computing, memory, file size and open files, and on Linux (x86-64, arm64) a
filter that refuses every system call but those for computing, memory, waiting and reading files: no new
process or program, no socket, no signal to others, no change of any file. At the end, or when time is up,
their whole group is killed. Around this comes a wall, see `sandbox_walls`, and where the system has neither
a wall nor the filter, a warning.

What it does not stop: reading any file that the user may read (only a container without the user's files
does), though nothing read can be sent anywhere. A program has no threads.
"""

from __future__ import annotations

import json
import logging
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, lru_cache

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation import sandbox_walls
from sst_mergekit.evaluation.sandbox_server import Server

CPU_SECONDS = 3  # of the program's own computing: what ends those that compute, on a busy machine too
WALL_SECONDS = 60.0  # for those that wait; standstills of the machine are not counted
MEMORY_BYTES = 1 << 30
FILE_BYTES = 1 << 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """Whether a program passed its tests, and in a word why not: an exception's name, "time", "died"."""

    passed: bool
    reason: str


def run_tests(
    program: str, tests: str, cpu_seconds: int = CPU_SECONDS, wall_seconds: float = WALL_SECONDS
) -> Verdict:
    """Return the verdict of `tests`, which find the functions of `program` by name.

    The same question is run once a process.

    Raises:
        EvaluationError: the child cannot be started, or cannot set its limits.
    """
    return _run(_wall(sandbox_walls.chosen()), program, tests, cpu_seconds, wall_seconds)


def check() -> None:
    """Raise EvaluationError if the chosen wall does not work here."""
    _wall(sandbox_walls.chosen())


@cache
def _wall(choice: str) -> tuple[str, ...]:
    """Return the command of `choice`, seen to work."""
    if choice == sandbox_walls.AUTO:
        return _first_that_works()
    command = sandbox_walls.command(choice)
    verdict = _run(command, "", "", CPU_SECONDS, WALL_SECONDS)
    if not verdict.passed:
        raise EvaluationError(f"sandbox: {choice!r} does not run an empty program: {verdict.reason}")
    return command


def _first_that_works() -> tuple[str, ...]:
    *walls, bare = sandbox_walls.WALLS
    for choice in walls:
        with suppress(EvaluationError):
            return _wall(choice)
    return _wall(bare)


@lru_cache(maxsize=4096)
def _run(
    command: tuple[str, ...], program: str, tests: str, cpu_seconds: int, wall_seconds: float
) -> Verdict:
    word = secrets.token_hex(16)
    job = {
        "program": program,
        "tests": tests,
        "word": word,
        "cpu_seconds": cpu_seconds,
        "wall_seconds": wall_seconds,
        "memory_bytes": MEMORY_BYTES,
        "file_bytes": FILE_BYTES,
    }
    with _served(command) as server:
        lines = server.ask(json.dumps(job).encode() + b"\n", wall_seconds)
        if lines[0] != "ready":
            raise EvaluationError(f"sandbox: cannot start {shlex.join(command)}: {server.complaint()}")
    return _verdict(lines[1], word, command != sandbox_walls.command("none"))


@contextmanager
def keeping() -> Iterator[None]:
    """Within the block one fresh Python serves many programs, where the filter of system calls holds.

    Each program and its tests still have processes of their own, split off before their job is sent; what is
    saved is starting Python and the wall. Not for several threads.
    """
    _keeping.append(True)
    try:
        yield
    finally:
        _keeping.pop()
        if not _keeping:
            while _kept:
                _kept.popitem()[1].close()


_keeping: list[bool] = []
_kept: dict[tuple[str, ...], Server] = {}


@contextmanager
def _served(command: tuple[str, ...]) -> Iterator[Server]:
    """Gives a server for one job: a kept one if it is free and alive."""
    server = _kept.pop(command, None)
    if server is None or not server.alive():
        server = Server(command)
    reusable = False
    try:
        yield server
        reusable = bool(_keeping) and server.clean
    finally:
        if reusable:
            _kept[command] = server
        else:
            server.close()


def _verdict(line: str, word: str, walled: bool) -> Verdict:
    known, _, rest = line.partition(" ")
    filtered, _, outcome = rest.partition(" ")
    if known != word:
        return Verdict(False, "died")
    if outcome.startswith("broken "):
        raise EvaluationError(f"sandbox: the child cannot set {outcome.removeprefix('broken ')}")
    if filtered == "bare" and not walled:
        _warn_bare()
    return Verdict(outcome == "passed", outcome.removeprefix("failed "))


@cache
def _warn_bare() -> None:
    _log.warning(
        "sandbox: this system has neither bwrap nor unshare nor a filter of system calls; programs can reach "
        "the network, the user's files and processes. Set %s to a command that walls them in.",
        sandbox_walls.VARIABLE,
    )
