"""The family of errors a user can cause and mend: one line each, exit code 2."""

from __future__ import annotations

import contextlib
import difflib
import errno
import logging
from collections.abc import Iterable, Iterator

_FULL = {errno.ENOSPC, errno.EDQUOT}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "std::bad_alloc",
    "can't start new thread",
    "threadpoolbuilderror",
)
_NO_PLACE = {errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST}


class SstError(Exception):
    """A fault in what the user gave us: says where, what it is, and the next step, on one line.

    >>> str(SstError("a name\\nof two lines: not found"))
    'a name of two lines: not found'
    """

    def __str__(self) -> str:
        """Return the message; line breaks in names and in what libraries say become blanks."""
        return " ".join(super().__str__().splitlines())


class RecipeError(SstError):
    """A merge recipe that cannot be carried out as written."""


class StatisticsError(SstError):
    """Fisher statistics that are missing, damaged, or belong to something else."""


class DataError(SstError):
    """A data file or data set that cannot be read as prompts and responses."""


class EvaluationError(SstError):
    """A model or task that cannot be scored as asked."""


class SharingError(SstError):
    """A directory that cannot be described or pushed as it is, or a Hub that does not take it."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest known name, or the list of names.

    >>> closest("strenght", ["strength", "cost"])
    " (did you mean 'strength'?)"
    >>> closest("zzz", ["strength", "cost"])
    ' (known: cost, strength)'
    """
    names = sorted(known)
    match = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean '{match[0]}'?)" if match else f" (known: {', '.join(names)})"


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those it was raised from or during, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def one_line(error: BaseException) -> str | None:
    """Return what to tell the user where an error is theirs or the machine's to mend; None for a bug.

    Errors of ours, whatever libraries they came through; a full disk; a place that cannot be written or read;
    and memory that does not suffice.

    >>> one_line(RuntimeError("a bug")), one_line(SstError("recipe.yml: not found"))
    (None, 'recipe.yml: not found')
    >>> one_line(OSError(errno.ENOSPC, "No space left on device", "out/model.safetensors"))
    'out/model.safetensors: no space left on the disk; free some or choose another place, and run it again'
    """
    return next((text for text in map(_told, causes(error)) if text), None)


def _told(error: BaseException) -> str | None:
    if isinstance(error, SstError):
        return str(error)
    if is_disk_full(error):
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        return f"{where}no space left on the disk; free some or choose another place, and run it again"
    if isinstance(error, OSError) and error.errno in _NOT_ALLOWED | _NO_PLACE and error.filename:
        return f"{error.filename}: {error.strerror}; choose another place, or mend its permissions"
    if is_out_of_memory(error):
        return "out of memory; ask for less at once, or use a machine with more"
    return None


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error, of Python or of safetensors' own writer, says that the disk is full."""
    return getattr(error, "errno", None) in _FULL or "(os error 28)" in str(error)


@contextlib.contextmanager
def raising_a_full_disk(logger: str) -> Iterator[None]:
    """Raise, after the block, the error of a full disk that a library has only logged to `logger`.

    mergekit goes on where a tokenizer cannot be copied, and on a full disk leaves half of it.
    """
    full: list[BaseException] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            error = record.exc_info and record.exc_info[1]
            if error and is_disk_full(error):
                full.append(error)

    listener = Listener(logging.ERROR)
    logging.getLogger(logger).addHandler(listener)
    try:
        yield
    finally:
        logging.getLogger(logger).removeHandler(listener)
    if full:
        raise full[0]


def is_of_the_machine(error: BaseException) -> bool:
    """Return whether disk or memory ran out at the bottom of an error: no fault of what was being read.

    >>> [is_of_the_machine(OSError(number, "a text")) for number in (errno.ENOSPC, errno.ENOENT)]
    [True, False]
    """
    return any(is_disk_full(each) or is_out_of_memory(each) for each in causes(error))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error says that a device or the machine had no more memory.

    A thread that cannot be started lacks room for its stack (Python's and those of tokenizers, whose panic
    is no Exception); a function written in Python that "returned NULL" had none for its frame.

    >>> is_out_of_memory(RuntimeError("can't start new thread")), is_out_of_memory(RuntimeError("a bug"))
    (True, False)
    """
    text = str(error).lower()
    if isinstance(error, SystemError):
        return text.startswith("<function ") and "returned null" in text
    return isinstance(error, MemoryError) or any(part in text for part in _NO_MEMORY)
