"""``sst-mergekit eval``: lm-eval's own command with our tasks in front."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sst_mergekit.resources import tasks_path

SUBCOMMANDS = ("run", "ls", "validate")


class Untouched(click.Command):
    """A command that leaves every argument to someone else, ``--help`` and ``--`` too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return nothing for click to read; the arguments are kept in the context."""
        ctx.args = list(args)
        return []


@click.command("eval", cls=Untouched)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Run ``lm_eval`` with these arguments and our tasks in front."""
    arguments, theirs = with_our_tasks(ctx.args)
    if theirs is not None:
        click.echo(f"sst-mergekit: using your include path {theirs}, not {tasks_path()}", err=True)

    from lm_eval.__main__ import cli_evaluate

    before = sys.argv
    sys.argv = ["sst-mergekit eval", *arguments]
    try:
        cli_evaluate()
    finally:
        sys.argv = before


def with_our_tasks(arguments: Sequence[str]) -> tuple[list[str], str | None]:
    """Returns lm-eval's arguments, and the user's own include path if they gave one.

    >>> with_our_tasks(["--tasks", "sst_mmlu", "--include_path", "mine"])
    (['run', '--tasks', 'sst_mmlu', '--include_path', 'mine'], 'mine')
    """
    subcommand, *rest = arguments if arguments and arguments[0] in SUBCOMMANDS else ["run", *arguments]
    if not rest:
        return [subcommand], None
    theirs = _option(rest, "--include_path")
    config = _option(rest, "--config") or _option(rest, "-C")
    if theirs is None and config is not None:
        theirs = _include_path_in(Path(config))
    ours = [] if theirs is not None else ["--include_path", str(tasks_path())]
    return [subcommand, *ours, *rest], theirs


def _option(arguments: Sequence[str], name: str) -> str | None:
    """Returns the value of the option `name`, which argparse lets users shorten, or None."""
    for position, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag == name or (len(flag) >= len("--inc") and name.startswith(flag)):
            return value if equals else " ".join(arguments[position + 1 : position + 2])
    return None


def _include_path_in(config: Path) -> str | None:
    import yaml

    if not config.is_file():
        return None  # lm-eval says so
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    path = settings.get("include_path") if isinstance(settings, dict) else None
    return None if path is None else str(path)
