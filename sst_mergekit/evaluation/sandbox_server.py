"""The fresh Python that runs programs: started in its wall, asked, and ended."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO

from sst_mergekit.errors import EvaluationError

START_SECONDS = 60.0  # for the wall, which may be a container
LEAVE_SECONDS = 5.0  # for the wall, once the verdict is there
PATIENCE = 4  # times the judge's own limit, which counts no standstill: by then it must hang


class Server:
    """A fresh Python in a wall, in a temporary directory, that serves one job after another.

    Attributes:
        clean: the last job ended by its own verdict, and under the filter: nothing of it is left.
    """

    def __init__(self, command: tuple[str, ...]) -> None:
        self.clean = False
        self._text = b""
        self._folder = tempfile.TemporaryDirectory(prefix="sst-sandbox-", ignore_cleanup_errors=True)
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        try:
            self._child = _start(command, self._folder.name, self._complaints)
        except EvaluationError:
            self._remove()
            raise

    def alive(self) -> bool:
        """Return whether its process is there."""
        return self._child.poll() is None

    def ask(self, job: bytes, wall_seconds: float) -> list[str]:
        """Return the two lines written about a job; what did not come, or not in time, is empty."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):
            self._child.stdin.write(job)
        deadline = time.monotonic() + START_SECONDS + PATIENCE * wall_seconds
        while self._text.count(b"\n") < 2:
            ready, _, _ = select.select([self._child.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(self._child.stdout.fileno(), 4096) if ready else b""
            if not chunk:
                break
            self._text += chunk
        said, verdict, self._text = ([*self._text.split(b"\n", 2), b"", b""])[:3]
        self.clean = verdict.split(b" ")[1:2] == [b"filtered"]
        return [said.decode(errors="replace"), verdict.decode(errors="replace")]

    def complaint(self) -> str:
        """Return the last line that it wrote to standard error."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(LEAVE_SECONDS)
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else "it said nothing"

    def close(self) -> None:
        """Ends it: by itself where all is well, so that the wall can leave, else by force."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with suppress(BrokenPipeError):
            self._child.stdin.close()
        if self.clean:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(LEAVE_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._child.stdout.close()
        self._remove()

    def _remove(self) -> None:
        self._complaints.close()
        self._folder.cleanup()


@cache
def _child_source() -> str:
    here = Path(__file__).parent
    parts = [(here / name).read_text(encoding="utf-8") for name in ("sandbox_filter.py", "sandbox_child.py")]
    return "\n".join([*parts, "main(hide, confine)", ""])


def _start(command: tuple[str, ...], folder: str, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603
            [*command, "-I", "-S", "-B", "-c", _child_source()],
            cwd=folder,
            env={},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,
            bufsize=0,
        )
    except OSError as error:
        raise EvaluationError(f"sandbox: cannot start {shlex.join(command)}: {error}") from error
