"""The judge, which runs the tests, and beside it the process that runs the untrusted program.

Sent to a fresh Python as text (with ``sandbox_filter.py`` in front), so it imports no file of ours. The
two share nothing but a pair of pipes: a test's ``f(1, 2)`` is sent to the program's process as plain data,
and the answer comes back as plain data. For each job the judge writes ``ready`` and then one line:
``WORD FILTER passed``, ``WORD FILTER failed NAME`` or ``WORD FILTER broken WHY``; FILTER is ``filtered`` or
``bare``. The word comes with the tests, when the program's process has split off.
"""

import builtins
import json
import os
import resource
import signal

REPLY_BYTES = 1 << 22
TICKS = 50
GROUPS = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
READERS = {
    "bool": bool,
    "int": lambda text: int(text, 16),
    "float": float,
    "complex": complex,
    "bytes": bytes.fromhex,
}


class Stopped(BaseException):
    """The program's process is gone, or left the tests by something else than an ``Exception``."""


def pack(value):
    """Return JSON of which `unpack` makes the same value; of subclasses, the plain one."""
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    for name, write in (
        ("bool", bool),
        ("int", hex),
        ("float", repr),
        ("complex", repr),
        ("bytes", bytes.hex),
    ):
        if isinstance(value, getattr(builtins, name)):
            return [name, write(getattr(builtins, name)(value))]
    for name, kind in GROUPS.items():
        if isinstance(value, kind):
            return [name, [pack(item) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[pack(key), pack(item)] for key, item in value.items()]]
    raise TypeError(f"{type(value).__name__} is no plain data")


def unpack(packed):
    """Return the value that `pack` was given; anything else in it raises."""
    if packed is None or isinstance(packed, str):
        return packed
    name, content = packed
    if name in GROUPS:
        return GROUPS[name](unpack(item) for item in content)
    if name == "dict":
        return {unpack(key): unpack(item) for key, item in content}
    return READERS[name](content)


def send(descriptor, message):
    """Write one message, a line of JSON."""
    line = json.dumps(message).encode() + b"\n"
    while line:
        line = line[os.write(descriptor, line) :]


def receive(descriptor, limit):
    """Return the next message; `Stopped` if it does not come whole, or is longer than `limit` bytes."""
    line = bytearray()
    while not line.endswith(b"\n"):
        chunk = os.read(descriptor, 65536)
        line += chunk
        if not chunk or len(line) > limit:
            raise Stopped("died")
    return json.loads(line)


def limit_resources(job):
    """Limit this process's computing, memory, files and processes."""
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, job["cpu_seconds"], job["cpu_seconds"] + 1),
        (resource.RLIMIT_AS, job["memory_bytes"], job["memory_bytes"]),
        (resource.RLIMIT_FSIZE, job["file_bytes"], job["file_bytes"]),
        (resource.RLIMIT_NOFILE, 32, 32),
        (resource.RLIMIT_NPROC, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        resource.setrlimit(kind, (soft, hard))


def answer(answers, work):
    """Send what `work` returns, or the exception it raises; return whether it returned."""
    try:
        message = work()
    except BaseException as error:  # noqa: BLE001
        send(answers, {"error": type(error).__name__, "fatal": not isinstance(error, Exception)})
        return False
    send(answers, message)
    return True


def run_program(requests, answers, confine):
    """Run the program, then answer calls of its functions until the judge has no more."""
    job = receive(requests, float("inf"))
    limit_resources(job)
    confine()
    namespace: dict = {"__name__": "program"}

    def start():
        exec(compile(job["program"], "program", "exec"), namespace)  # noqa: S102
        return {"names": [name for name, value in namespace.items() if callable(value)]}

    def call():
        function = namespace[request["name"]]
        return {"value": pack(function(*unpack(request["args"]), **unpack(request["kwargs"])))}

    if answer(answers, start):
        while True:
            request = receive(requests, float("inf"))
            answer(answers, call)


def split_off(confine):
    """Start the program's process; return its number and the judge's ends of the two pipes."""
    requests, to_program = os.pipe()
    from_program, answers = os.pipe()
    child = os.fork()
    if child:
        os.close(requests)
        os.close(answers)
        return child, to_program, from_program
    try:
        os.closerange(0, requests)
        os.closerange(requests + 1, answers)
        os.closerange(answers + 1, 256)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        run_program(requests, answers, confine)
    finally:
        os._exit(0)


def ask(pipes, message):
    """Return the program's answer to `message`, or raise what it raised."""
    to_program, from_program = pipes
    send(to_program, message)
    reply = receive(from_program, REPLY_BYTES)
    if "error" not in reply:
        return reply
    name = str(reply["error"])
    if reply["fatal"]:
        raise Stopped(name)
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        raise kind
    raise type(name, (Exception,), {})


def stand_in(name, pipes):
    """Return a function that has the program's process call its own function `name`."""

    def function(*args, **kwargs):
        return unpack(ask(pipes, {"name": name, "args": pack(args), "kwargs": pack(kwargs)})["value"])

    return function


def judge(tests, job, pipes):
    """Return ``passed``, or ``failed`` and the name of what went wrong."""
    try:
        names = [name for name in ask(pipes, job)["names"] if not hasattr(builtins, name)]
        namespace = {"__name__": "tests"} | {name: stand_in(name, pipes) for name in names}
        exec(compile(tests, "tests", "exec"), namespace)  # noqa: S102
    except Stopped as stopped:
        return f"failed {stopped}"
    except BaseException as error:  # noqa: BLE001
        return f"failed {type(error).__name__}"
    return "passed"


def main(hide, confine):
    """Serve one job after another, each in processes of its own, until standard input ends.

    This process never runs a program and never holds a word. A job that leaves in any other way than by its
    verdict ends the service.
    """
    hide()
    while True:
        server = os.fork()
        if not server:
            serve(confine)
        while True:  # what the judges' programs leave behind is reaped too
            process, status = os.wait()
            if process == server:
                break
        if status != 0:
            os._exit(0)


def count_down(seconds, end):
    """Call `end` when so much time has passed in which this process could run.

    Ticks that fall into one standstill (of a starved or paused machine) arrive as one, and count as one.
    """
    ticks = []

    def tick(*_):
        ticks.append(None)
        if len(ticks) == TICKS:
            end()

    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, seconds / TICKS, seconds / TICKS)


def serve(confine):
    """Judge the program and the tests that come next on standard input, as one line of JSON."""
    child, *pipes = split_off(confine)
    os.write(1, b"ready\n")
    try:
        job = receive(0, float("inf"))
    except Stopped:  # there is no next job
        os._exit(1)
    word, tests, seconds = job.pop("word"), job.pop("tests"), job.pop("wall_seconds")
    filtered = "bare"

    def leave(verdict):
        os.kill(child, signal.SIGKILL)
        line = f"{word} {filtered} {verdict}".replace("\n", " ")
        os.write(1, line.encode(errors="replace")[:400] + b"\n")
        os._exit(0)

    count_down(seconds, lambda: leave("failed time"))
    try:
        limit_resources(job)
    except (OSError, ValueError) as error:
        leave(f"broken its limits: {error}")
    filtered = "filtered" if confine(child) else "bare"
    leave(judge(tests, job, pipes))
