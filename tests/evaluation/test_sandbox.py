from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sandbox_hostile import filtered

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation import sandbox, sandbox_child, sandbox_filter, sandbox_server, sandbox_walls
from sst_mergekit.evaluation.sandbox import Verdict, run_tests

FAILING = "assert f() == 'right'"
RIGHT = "def f():\n    return 'right'"
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary()
)
KEYS = st.recursive(SCALARS, lambda inner: st.lists(inner).map(tuple) | st.frozensets(inner), max_leaves=4)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner) | st.sets(KEYS) | st.lists(inner).map(tuple),
    max_leaves=12,
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_right_programs_pass_and_the_reason_is_named_for_others() -> None:
    assert run_tests(RIGHT, FAILING) == Verdict(True, "passed")
    assert run_tests("def f():\n    return 'wrong'", FAILING) == Verdict(False, "AssertionError")
    assert run_tests("", FAILING) == Verdict(False, "NameError")
    assert run_tests("def f(:", FAILING) == Verdict(False, "SyntaxError")
    assert run_tests(RIGHT, "assert f(") == Verdict(False, "SyntaxError")


def test_computing_is_limited() -> None:
    program = "while True:\n    pass"
    assert run_tests(program, "", cpu_seconds=1, wall_seconds=60.0) == Verdict(False, "died")


def test_a_standstill_is_not_counted_as_waiting() -> None:
    """A machine that stands still is made here by keeping the signals back."""
    ended: list[str] = []
    before = signal.getsignal(signal.SIGALRM)
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        sandbox_child.count_down(0.5, lambda: ended.append("time"))
        time.sleep(0.7)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        assert not ended
        for _ in range(500):
            if ended:
                break
            time.sleep(0.02)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ended == ["time"]


def test_programs_may_print_import_and_read() -> None:
    program = (
        "import math, re, collections, itertools, hashlib, random, string, datetime, decimal, functools\n"
        "import heapq, json, os, sys, time, typing\n"
        "def f():\n    os.write(1, b'line')\n    print('two', flush=True)\n    time.sleep(0.01)\n"
        "    empty = hashlib.md5(b'').hexdigest()[:4]\n"
        "    return [sys.stdin.read(), os.listdir('.'), empty, open(os.__file__).read(3)]"
    )
    assert run_tests(program, "assert f()[1:3] == [[], 'd41d']").reason == "passed"


def test_functions_are_called_with_plain_data_and_keywords_and_keep_their_state() -> None:
    program = (
        "import collections\nseen = []\n"
        "def f(*args, **kwargs):\n    seen.append(args)\n    return args, kwargs, len(seen)\n"
        "def g(words): return collections.Counter(words)\n"
        "class Half:\n    def __new__(cls, x): return x / 2"
    )
    tests = (
        "assert f(1, [None, (2.5, 'a')], key={3: {4}}) == ((1, [None, (2.5, 'a')]), {'key': {3: {4}}}, 1)\n"
        "assert f()[2] == 2\nassert g('aab') == {'a': 2, 'b': 1}\nassert type(g('a')) is dict\n"
        "assert Half(3) == 1.5"
    )
    assert run_tests(program, tests).reason == "passed"


def test_exceptions_reach_the_tests() -> None:
    program = (
        "class Own(Exception): pass\ndef f(kind):\n    raise {'own': Own, 'value': ValueError}[kind]('why')"
    )
    tests = (
        "for kind, name in (('own', 'Own'), ('value', 'ValueError'), ('none', 'KeyError')):\n"
        "    try: f(kind)\n    except Exception as error: assert type(error).__name__ == name\n"
        "    else: assert False\ntry: f('value')\nexcept ValueError: pass"
    )
    assert run_tests(program, tests).reason == "passed"
    assert run_tests(program, "f('own')").reason == "Own"


def test_leaving_is_no_exception_that_tests_may_expect() -> None:
    tests = "try: f()\nexcept Exception: pass\nexcept BaseException: pass"
    assert run_tests("def f():\n    raise ValueError", tests).passed
    for leaving in ("import sys; sys.exit(0)", "import os; os._exit(0)"):
        verdict = run_tests(f"def f():\n    {leaving}", tests.rpartition("\n")[0])
        assert not verdict.passed


def test_what_the_tests_define_themselves_is_theirs() -> None:
    program = "def half(x): return 0\ndef f(x): return 99"
    tests = "def half(x): return x / 2\nassert half(2) == 1\nassert f(1) == 1"
    assert run_tests(program, tests).reason == "AssertionError"


@settings(max_examples=60, deadline=None)
@given(DATA)
def test_what_is_unpacked_is_what_was_packed(value: object) -> None:
    back = sandbox_child.unpack(json.loads(json.dumps(sandbox_child.pack(value))))
    assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize("value", [object(), print, iter([]), [object()], {1: print}])
def test_what_is_no_plain_data_is_not_packed(value: object) -> None:
    with pytest.raises(TypeError, match="is no plain data"):
        sandbox_child.pack(value)


@pytest.mark.parametrize(
    "packed",
    [{}, [], 1, True, ["int", 1], ["int", "x"], ["print", "x"], ["set", [["list", []]]], ["dict", [1]]],
)
def test_what_was_not_packed_is_not_unpacked(packed: object) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        sandbox_child.unpack(packed)


@pytest.mark.parametrize("machine", list(sandbox_filter.AUDIT_ARCH))
def test_the_filter_fits_the_machine(machine: str) -> None:
    """A jump goes over at most 255 steps and never past the last one, which refuses."""
    steps = sandbox_filter.instructions(machine, may_kill=7)
    assert len(steps) < 4096
    assert steps[-1] == (sandbox_filter.RETURN, 0, 0, sandbox_filter.REFUSE)
    for position, (_, yes, no, _) in enumerate(steps):
        assert position + max(yes, no) + 1 < len(steps) or (yes, no) == (0, 0)
        assert max(yes, no) < 256
    numbers = [value for code, _, no, value in steps[4:] if code == sandbox_filter.EQUAL and no == 1]
    assert sum(value == 7 for value in numbers) >= 1


def test_the_same_question_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_tests(RIGHT + "  # once", FAILING)
    monkeypatch.setattr(sandbox, "Server", None)
    assert run_tests(RIGHT + "  # once", FAILING) is first


def test_a_kept_python_serves_many_programs_and_is_gone_afterwards() -> None:
    """Verdicts do not depend on it, and a program cannot leave anything for the next one."""
    if not filtered():
        pytest.skip("this system has no filter of system calls, without which nothing is kept")
    started = []
    leave = "import builtins\nbuiltins.left = 1\ndef f(): return 1  # kept"
    look = "import builtins\ndef f(): return int(not hasattr(builtins, 'left'))  # kept"
    stop = "import os\nos._exit(0)  # kept"
    with sandbox.keeping():
        for program, right in ((leave, True), (look, True), (stop, False), (look + "2", True)):
            assert run_tests(program, "assert f() == 1").passed is right
            started += [server._child for server in sandbox._kept.values()]
        assert len({child.pid for child in started}) == 1
        assert started[0].poll() is None
    assert started[0].poll() is not None
    assert not sandbox._kept


def test_a_kept_python_that_is_gone_is_started_again() -> None:
    if not filtered():
        pytest.skip("this system has no filter of system calls, without which nothing is kept")
    with sandbox.keeping():
        assert run_tests("def f(): return 1  # first", "assert f() == 1").passed
        (server,) = sandbox._kept.values()
        server._child.kill()
        server._child.wait()
        assert run_tests("def f(): return 1  # second", "assert f() == 1").passed
        assert not run_tests("while True: pass  # third", "assert f() == 1", 60, 0.3).passed
        assert run_tests("def f(): return 1  # fourth", "assert f() == 1").passed


def test_a_fresh_python_runs_what_is_sent_to_it() -> None:
    """No file of ours is needed on the other side, and the word is not among the arguments."""
    source = sandbox_server._child_source()
    assert "sst_mergekit" not in source.replace("sst_mergekit.evaluation", "sst_mergekit")
    assert len(source) < 100_000  # one argument of a command may be 131,072 bytes


@pytest.fixture
def container(own_folder: Path) -> str:
    """A stand-in for ``docker run --rm -i IMAGE python``: pipes, another folder, noise on stderr."""
    script = own_folder / "container"
    script.write_text(
        "#!/bin/sh\necho 'Pulling image' >&2\ncd /\nshift 4\n"
        f'cat | env -i IN_CONTAINER=1 {sys.executable} "$@"\n'
    )
    script.chmod(0o700)
    return f"{script} run --rm -i image"


def test_a_container_command_is_a_sandbox(container: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sandbox_walls.VARIABLE, container)
    program = f"{RIGHT}\nimport os\ndef g(): return os.getcwd(), dict(os.environ)"
    tests = f"{FAILING}\ncwd, env = g()\nassert cwd == '/' and env['IN_CONTAINER'] == '1'"
    assert run_tests(program, tests).reason == "passed"
    assert run_tests("def f():\n    return 'wrong'", FAILING).reason == "AssertionError"
    assert run_tests("import time\ntime.sleep(60)", FAILING, wall_seconds=0.5).reason == "time"
    assert run_tests("import os\nos._exit(0)", FAILING).reason == "died"


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("no-such-wall --at all", "'no-such-wall' is not on this machine; .*or auto, bwrap, unshare, none"),
        ("bash -c 'exit 1'", "cannot start .*bash -c 'exit 1': it said nothing"),
        ("bash -c 'echo no daemon >&2'", "cannot start .*: no daemon"),
        ("echo 'open", 'cannot read the command "echo \'open": No closing quotation'),
        ("printf 'ready\n\n'", "does not run an empty program: died"),
    ],
)
def test_a_wall_that_is_not_there_is_an_error(
    choice: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(sandbox_walls.VARIABLE, choice)
    with pytest.raises(EvaluationError, match=f"sandbox: .*{message}"):
        run_tests(RIGHT, FAILING)


def test_auto_takes_the_first_wall_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_walls, "WALLS", {"first": "no-such-wall", "second": "false", "none": ""})
    monkeypatch.delenv(sandbox_walls.VARIABLE, raising=False)
    sandbox._wall.cache_clear()
    assert sandbox._wall(sandbox_walls.chosen()) == sandbox_walls.command("none")
    monkeypatch.setattr(sandbox_walls, "WALLS", {"first": "env", "none": ""})
    sandbox._wall.cache_clear()
    assert Path(sandbox._wall("auto")[0]).name == "env"
    sandbox._wall.cache_clear()


def test_a_bare_system_is_said_once_and_missing_limits_stop_the_run(caplog: pytest.LogCaptureFixture) -> None:
    sandbox._warn_bare.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert sandbox._verdict("word bare passed", "word", walled=False).passed
        assert sandbox._verdict("word bare passed", "word", walled=False).passed
        assert len(caplog.records) == 1
        sandbox._warn_bare.cache_clear()
        assert sandbox._verdict("word bare passed", "word", walled=True).passed
        assert sandbox._verdict("word filtered passed", "word", walled=False).passed
    assert len(caplog.records) == 1
    with pytest.raises(EvaluationError, match="the child cannot set its limits: not permitted"):
        sandbox._verdict("word bare broken its limits: not permitted", "word", walled=True)


@pytest.mark.parametrize(
    "line",
    ["", "word", "words filtered passed", "xword filtered passed", "passed", "word filtered", "word passed"],
)
def test_only_the_whole_word_and_verdict_are_a_pass(line: str) -> None:
    assert not sandbox._verdict(line, "word", walled=True).passed
