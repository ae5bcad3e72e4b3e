from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation import sandbox
from sst_mergekit.evaluation.sandbox import Verdict, run_tests

FAILING = "assert f() == 'right'"
HOSTILE = {
    "an endless loop": ("while True:\n    pass", "died"),
    "waiting": ("import time\ntime.sleep(60)", "time"),
    "all of the memory": ("x = bytearray(1 << 40)", "MemoryError"),
    "memory bit by bit": ("x = [0]\nwhile True:\n    x += x", "MemoryError"),
    "sys.exit(0)": ("import sys\nsys.exit(0)", "SystemExit"),
    "os._exit(0)": ("import os\nos._exit(0)", "died"),
    "exit on the way out": (
        "import atexit\natexit.register(print, 'passed')\nraise SystemExit",
        "SystemExit",
    ),
    "a guessed word": (
        "import os\nfor fd in range(3, 32):\n    try: os.write(fd, b'0' * 32 + b'\\n')\n"
        "    except OSError: pass\nos._exit(0)",
        "0" * 32,
    ),
    "printing to everyone": (
        "print('passed')\nimport sys\nsys.stderr.write('passed')\ndef f(): return 1",
        "AssertionError",
    ),
    "a sea of output": (
        "import os\nwhile True:\n    for fd in range(1, 32):\n        try: os.write(fd, b'x' * 65536)\n"
        "        except OSError: pass",
        None,
    ),
    "an endless line": (
        "import os\nfor fd in range(3, 32):\n    try: os.write(fd, b'x' * 4096)\n    except OSError: pass\n"
        "import time; time.sleep(60)",
        None,
    ),
    "bad syntax": ("def f(:", "SyntaxError"),
    "a null byte": ("x = '\0'", "SyntaxError"),
    "deep nesting": ("f = " + "(" * 5000 + ")" * 5000, None),
    "endless recursion": ("def f():\n    return f()", "RecursionError"),
    "an exception that answers to none": (
        "class E(BaseException):\n    def __str__(self): raise SystemExit\nraise E",
        "E",
    ),
    "killing its group": ("import os, signal\nos.killpg(0, signal.SIGKILL)", "died"),
    "overwriting assert's error": ("AssertionError = None\ndef f(): return 1", None),
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that only this test's programs run in, to know them by."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_in(folder: Path) -> list[str]:
    """The processes still at work in `folder`, those given a moment that are being killed."""
    for _ in range(100):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if os.readlink(process / "cwd").startswith(str(folder)):
                    found.append(process.name)
        if not found:
            return []
        time.sleep(0.05)
    return found


def isolated() -> bool:
    """Whether this system grants a child its own process space."""
    sandbox._warn_shared.cache_clear()
    run_tests.cache_clear()
    run_tests("x = 1", "")
    return sandbox._warn_shared.cache_info().currsize == 0


@pytest.fixture(scope="module")
def walled() -> None:
    if not isolated():
        pytest.skip("this system grants no process space of its own; the docstring says what that costs")


@pytest.mark.parametrize(("program", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_programs_do_not_pass_and_leave_nothing(
    program: str, reason: str | None, own_folder: Path
) -> None:
    start = time.monotonic()
    verdict = run_tests(program, FAILING, cpu_seconds=1, wall_seconds=4.0)
    assert not verdict.passed
    assert reason is None or verdict.reason == reason
    assert time.monotonic() - start < 20
    assert not left_in(own_folder)


@pytest.mark.usefixtures("walled")
@pytest.mark.parametrize(
    "start",
    [
        "for _ in range(20):\n    if os.fork() == 0:\n        time.sleep(600)",
        "if os.fork() == 0:\n    os.setsid()\n    for fd in range(64):\n        try: os.close(fd)\n"
        "        except OSError: pass\n    time.sleep(600)",
        "import subprocess\nsleep = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "subprocess.Popen(sleep, start_new_session=True)",
    ],
    ids=["many children", "a daemon", "another program"],
)
def test_no_process_outlives_the_verdict(start: str, own_folder: Path) -> None:
    program = f"import os, sys, time\n{start}\ndef f():\n    return 'wrong'"
    assert not run_tests(program, FAILING, wall_seconds=4.0).passed
    assert not left_in(own_folder)


@pytest.mark.usefixtures("walled")
def test_no_process_outside_can_be_signalled() -> None:
    """Asked with signal 0, which does nothing where the wall should be missing."""
    program = (
        f"import os\ndef f():\n    try: os.kill({os.getpid()}, 0)\n"
        "    except ProcessLookupError: return os.getppid()\n"
    )
    assert run_tests(program, "assert f() == 1").passed  # its parent is the first process of its own space


@pytest.mark.usefixtures("walled")
def test_the_network_is_out_of_reach() -> None:
    program = (
        "import socket\ndef f():\n    s = socket.socket()\n    s.settimeout(1)\n"
        "    try: s.connect(('127.0.0.1', 9))\n    except OSError as error: return error.errno\n"
    )
    assert run_tests(program, f"assert f() == {errno.ENETUNREACH}").passed


def test_the_child_sees_no_environment_no_packages_and_an_empty_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SST_SECRET", "swordfish")
    program = (
        "import os, sys\ndef f():\n    return 'SST_SECRET' in os.environ, os.listdir('.'), sys.stdin.read()"
    )
    assert run_tests(program, "assert f() == (False, [], '')").passed
    assert run_tests("import torch", "").reason == "ModuleNotFoundError"


def test_what_it_writes_is_bounded_and_gone_afterwards(own_folder: Path) -> None:
    program = "def f():\n    with open('x', 'wb') as file: file.write(b'x' * (2 << 20))"
    assert not run_tests(program, "f()").passed
    assert run_tests("open('x', 'w').write('small')", "assert open('x').read() == 'small'").passed
    assert not list(own_folder.iterdir())


def test_right_programs_pass_and_the_reason_is_named_for_others() -> None:
    printing = (
        "import os\ndef f():\n    os.write(1, b'line')\n    print('two', flush=True)\n    return 'right'"
    )
    assert run_tests(printing, FAILING).passed
    program = "import math, re, collections, itertools, hashlib, random, string\ndef f():\n    return 'right'"
    assert run_tests(program, FAILING) == Verdict(True, "passed")
    assert run_tests("def f():\n    return 'wrong'", FAILING) == Verdict(False, "AssertionError")
    assert run_tests("", FAILING) == Verdict(False, "NameError")


def test_the_same_question_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_tests("def f(): return 'right'  # once", FAILING)
    monkeypatch.setattr(sandbox, "_start", None)
    assert run_tests("def f(): return 'right'  # once", FAILING) is first


def test_a_command_can_be_put_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys\ndef f():\n    return 'right'"
    monkeypatch.setenv(sandbox.PREFIX_VARIABLE, f"{shutil.which('nice')} -n 5")
    tests = "import os\nassert os.nice(0) >= 5"
    assert run_tests(program, tests).passed
    monkeypatch.setenv(sandbox.PREFIX_VARIABLE, "no-such-wall --at all")
    with pytest.raises(EvaluationError, match="sandbox: cannot start no-such-wall --at all"):
        run_tests(program, tests + "  # again")


def test_missing_walls_are_said_once_and_missing_limits_stop_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox._warn_shared.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert sandbox._verdict(b"word shared\n", "word").passed
        assert sandbox._verdict(b"word shared\n", "word").passed
    assert len(caplog.records) == 1
    assert "no process space of its own" in caplog.text
    with pytest.raises(
        EvaluationError, match="nothing was run, for the child could set no limits: not permitted"
    ):
        sandbox._verdict(b"word no limits: not permitted\n", "word")
    sandbox._warn_shared.cache_clear()


@pytest.mark.parametrize("line", [b"", b"word", b"words\n", b"xword\n", b"noise\nword\n", b"\xff\xfe\n"])
def test_only_the_whole_word_on_the_first_line_is_a_pass(line: bytes) -> None:
    assert not sandbox._verdict(line, "word").passed
