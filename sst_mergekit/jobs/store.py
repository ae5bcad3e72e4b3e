"""Where units of work are kept: each made once, whole or not at all, by however many processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Iterator
from pathlib import Path

from sst_mergekit.files import new_directory, write_text
from sst_mergekit.jobs.unit import Unit

RESULT, NOTE = "result", "unit.json"


class BusyError(Exception):
    """Another process is making the unit."""


class Store:
    """A folder of results by key: ``<kind>/<key>/result``, with ``unit.json`` beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, unit: Unit) -> Path:
        """Return where the unit's result is, or will be."""
        return self._place(unit) / RESULT

    def has(self, unit: Unit) -> bool:
        """Return whether the unit is made."""
        return self._place(unit).is_dir()

    def make(self, unit: Unit, wait: bool = True) -> float | None:
        """Make the unit unless it is there; return the seconds it took, or None.

        A lock is held meanwhile, so that a second process waits and then finds the result. The lock of a
        killed process is free at once, and what it had begun is thrown away.

        Raises:
            BusyError: another process is making it, and `wait` is not set.
        """
        place = self._place(unit)
        if place.is_dir():
            return None
        with self._lock(unit, wait):
            if place.is_dir():
                return None
            started = time.monotonic()
            with new_directory(place) as folder:
                parents = {role: self.path(parent) for role, parent in unit.parents.items()}
                unit.work(unit.inputs, parents, folder / RESULT)
                seconds = round(time.monotonic() - started, 2)
                note = unit.about() | {"seconds": seconds}
                write_text(folder / NOTE, json.dumps(note, indent=1, ensure_ascii=False) + "\n")
            return seconds

    def _place(self, unit: Unit) -> Path:
        return self.root / unit.kind / unit.key

    @contextlib.contextmanager
    def _lock(self, unit: Unit, wait: bool) -> Iterator[None]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / unit.key).open("w") as file:
            try:  # freed when the file is closed, by a kill too
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise BusyError(unit.key) from None
            yield
