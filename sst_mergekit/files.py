"""Writing whole or not at all: under a temporary name beside, renamed at the end, locked meanwhile.

A process that is killed leaves its temporary files behind, hidden and read by nobody. Their locks die with
it, so whoever writes the same thing next can tell them from those of a living process, and removes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from sst_mergekit.errors import SstError

try:
    import fcntl
except ImportError:  # no such locks: remains cannot be told from work in progress, and stay
    fcntl = None


def expanded(path: str | Path) -> Path:
    """Return the path with ``~`` as a home directory; as it stands where there is no such user.

    >>> expanded("~no-such-user/statistics").as_posix()
    '~no-such-user/statistics'
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111  (that of Path raises RuntimeError)


@contextlib.contextmanager
def new_directory(out: Path, force: bool = False) -> Iterator[Path]:
    """Yield a temporary directory beside ``out`` that becomes ``out`` if the block succeeds.

    On any exception, an interrupt included, the temporary directory is removed and ``out`` stays
    as it was. A killed process leaves only the temporary directory, which the next one removes.

    Raises:
        SstError: ``out`` exists and ``force`` is not set.
    """
    _clear_remains(out)
    refuse_existing(out, force)
    with _parents(out), temporary_directory(out) as temporary:
        yield temporary
        _to_disk(temporary)
        refuse_existing(out, force)  # another process may have been faster
        _rename(temporary, out)


@contextlib.contextmanager
def temporary_directory(out: Path, what: str = "partial") -> Iterator[Path]:
    """Yield a new hidden directory beside ``out``, which is removed when the block ends.

    Args:
        out: what it is for.
        what: part of its name: what it holds.
    """
    _clear_remains(out)
    temporary, lock = _name(out, what), None
    if temporary.exists():
        raise SstError(f"{out}: is being written by this process already; wait, or choose another place")
    try:
        while not temporary.exists():  # nor again: it may be taken for remains before it is locked
            temporary.mkdir()
            lock = _lock(temporary)
        yield temporary
    finally:
        _remove(temporary)
        _unlock(lock)


def refuse_existing(out: Path, force: bool) -> None:
    """Raise SstError if ``out`` holds something and ``force`` is not set."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not force):
        raise SstError(f"{out}: exists; choose another place, or give --force to replace it")


def write_text(path: Path, text: str) -> None:
    """Write a text file by way of a temporary name, so that a reader never sees half of it."""
    _clear_remains(path)
    temporary = _name(path, "partial")
    try:
        with _new_file(temporary) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _new_file(temporary: Path) -> TextIO:
    """Return a new file, opened and locked."""
    while True:
        file = temporary.open("w", encoding="utf-8")
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        if temporary.exists():  # or it was taken for remains before it was locked
            return file
        file.close()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest, block = hashlib.sha256(), memoryview(bytearray(1 << 18))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            digest.update(block[:size])
    return digest.hexdigest()


@contextlib.contextmanager
def _parents(out: Path) -> Iterator[None]:
    """Make the folders above ``out``; those that are new go again if the block fails."""
    new = [folder for folder in out.parents if not folder.exists()]
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # another process has put something there
            for folder in new:
                folder.rmdir()
        raise


def _name(out: Path, what: str) -> Path:
    return out.with_name(f".{out.name}.{what}-{os.getpid()}")


def _rename(new: Path, out: Path) -> None:
    """Rename a directory to ``out``; what is there goes away, or stays where that fails."""
    old = _name(out, "old")
    lock = None
    if out.exists():
        lock = _lock(out)
        out.rename(old)
    try:
        new.rename(out)
        _to_disk(out.parent, deep=False)
    except BaseException:
        if not out.exists() and old.exists():
            old.rename(out)
        raise
    finally:
        _remove(old)
        _unlock(lock)


def _clear_remains(out: Path) -> None:
    """Remove what killed processes left beside ``out``; put back what one was about to replace."""
    pattern = re.compile(rf"\.{re.escape(out.name)}\.(partial|old|lora-cache)-\d+")
    if fcntl is None or not out.parent.is_dir():
        return
    for left in sorted(path for path in out.parent.iterdir() if pattern.fullmatch(path.name)):
        with contextlib.suppress(FileNotFoundError):
            lock = _lock(left, wait=False)
            if lock is None:
                continue  # of a living process
            if ".old-" in left.name and not out.exists():
                left.rename(out)
            elif left.is_dir() and not left.is_symlink():
                _remove(left)
            else:
                left.unlink()
            _unlock(lock)


def _remove(folder: Path) -> None:
    """Remove a folder; an interrupt meanwhile takes effect when it is gone."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _lock(path: Path, wait: bool = True) -> int | None:
    """Return a descriptor that holds the lock on a file or directory; None where it cannot be had."""
    if fcntl is None:
        return None
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _to_disk(path: Path, deep: bool = True) -> None:
    """Have the disk hold a directory, and all that is in it, before what is done next."""
    inside = [found for found in path.rglob("*") if not found.is_symlink()] if deep else []
    for each in [*inside, path]:
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
