"""What a command prints: its result on stdout, as text or (``--json``) as JSON; all else on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import click

_KEY = "sst_mergekit.output"
# read by huggingface_hub, transformers and datasets when they are imported
_BARS = ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS")


@dataclasses.dataclass(frozen=True)
class Output:
    """How the running command prints: where results go, and what was asked for."""

    stdout: TextIO
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False


class Command(click.Command):
    """A command with ``--json``, ``--quiet`` and ``--verbose``, for ``@click.command(cls=...)``.

    Its function takes none of the three: it calls `result`, `note`, `warn` and `progress` below.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params += [
            click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON on stdout."),
            click.Option(["--quiet"], is_flag=True, help="No progress bars and no notes."),
            click.Option(["--verbose"], is_flag=True, help="What is done, and the traceback of an error."),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command's function; with ``--json`` nothing but the result reaches stdout."""
        given = {name: ctx.params.pop(name) for name in ("as_json", "quiet", "verbose")}
        if given["quiet"] and given["verbose"]:
            raise click.UsageError("--quiet, --verbose: give one of them", ctx)
        ctx.meta[_KEY] = Output(sys.stdout, **given)
        elsewhere = contextlib.redirect_stdout(sys.stderr) if given["as_json"] else contextlib.nullcontext()
        with elsewhere, _bars(not given["quiet"]), _log(given["verbose"]):
            return super().invoke(ctx)


def asked() -> Output:
    """Return how the running command prints."""
    context = click.get_current_context(silent=True)
    return context.meta.get(_KEY, Output(sys.stdout)) if context else Output(sys.stdout)


def result(value: Any, text: str) -> None:
    """Print a command's result, once: ``text`` (if not empty), or ``value`` as one JSON document.

    Args:
        value: plain data, dataclasses and paths.
        text: the same for people.
    """
    chosen = asked()
    if chosen.as_json:
        text = json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False)
    if text:
        click.echo(text, file=chosen.stdout)


def note(text: str) -> None:
    """Print a line that may be missed, on stderr; nothing with ``--quiet``."""
    if not asked().quiet:
        click.echo(text, err=True)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    click.echo(f"{click.style('warning:', fg='yellow')} {text}", err=True)


def fail(text: str, who: str = "") -> None:
    """Print an error on stderr; the caller leaves with exit code 2."""
    click.echo(f"{who}{click.style('error:', fg='red')} {text}", err=True)


def progress() -> bool:
    """Return whether progress bars are wanted."""
    return not asked().quiet


def plain(value: Any) -> Any:
    """Return dataclasses as mappings, paths as text, and numbers that are not finite as null.

    >>> plain({"kept": (1.0, float("nan")), "out": Path("a/b")})
    {'kept': [1.0, None], 'out': 'a/b'}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(dataclasses.asdict(value))
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


@contextlib.contextmanager
def _bars(shown: bool) -> Iterator[None]:
    """Keep the Hub's libraries from drawing progress bars, unless shown or decided by the user."""
    new = [] if shown else [name for name in _BARS if name not in os.environ]
    os.environ.update(dict.fromkeys(new, "1"))
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _log(verbose: bool) -> Iterator[None]:
    """With ``--verbose``, put what our modules log on stderr."""
    logger = logging.getLogger("sst_mergekit")
    level, handler = logger.level, logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    if verbose:
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
