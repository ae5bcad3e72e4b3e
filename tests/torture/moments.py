"""Moments of a running command, counted in what it does to files, and what happens to it then."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import signal
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

# what Python tells its audit hooks of files and connections; the first argument is a path, or names one
WATCHED = {
    "open",
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.symlink",
    "os.utime",
    "os.chmod",
    "os.listdir",
    "os.scandir",
    "shutil.copyfile",
    "shutil.rmtree",
    "tempfile.mkdtemp",
    "fcntl.flock",
    "socket.connect",
}
WRITING = {"os.rename", "os.mkdir", "os.symlink", "shutil.copyfile", "tempfile.mkdtemp"}
SIGNALS = {"kill": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}


@dataclass(frozen=True)
class Moment:
    """What happens to a command, and when.

    Attributes:
        end: ``kill``, ``term`` or ``int`` (a signal to the process that was started), ``full`` (from then on
            nothing can be written), ``memory`` (from then on next to none is to be had), ``worker`` (the
            process at work is killed), or ``none``.
        event: at which watched event, from 1; 0 for never.
        seconds: for signals, at which time instead.
        slack: bytes that ``memory`` still leaves.
    """

    end: str = "none"
    event: int = 0
    seconds: float | None = None
    slack: int = 0


class Count:
    """A number shared by a process and those that it forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 8)

    @property
    def value(self) -> int:
        return struct.unpack("q", self._memory[:8])[0]

    def increase(self) -> int:
        value = self.value + 1
        self._memory[:8] = struct.pack("q", value)
        return value


def arm(moment: Moment, place: Path, count: Count) -> None:
    """Count the watched events under `place`, in this process and its forks, and strike at the moment."""
    root, started = str(place), os.getpid()

    def hook(event: str, args: tuple) -> None:
        if event not in WATCHED or not _concerns(event, args, root):
            return
        at = count.increase()
        if moment.end == "full" and 0 < moment.event <= at and _writes(event, args):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(args[0]))
        if at == moment.event:
            _strike(moment, started)

    sys.addaudithook(hook)


def _concerns(event: str, args: tuple, root: str) -> bool:
    if event in ("fcntl.flock", "socket.connect"):
        return True
    name = args[0]
    name = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    return name.startswith(root) or (name != "" and not name.startswith("/"))


def _writes(event: str, args: tuple) -> bool:
    return event in WRITING or (event == "open" and bool((args[2] or 0) & (os.O_WRONLY | os.O_RDWR)))


def _strike(moment: Moment, started: int) -> None:
    if moment.end in SIGNALS:
        os.kill(started, SIGNALS[moment.end])
    elif moment.end == "worker":
        os.kill(os.getpid(), signal.SIGKILL)
    elif moment.end == "memory":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + moment.slack, resource.RLIM_INFINITY))
