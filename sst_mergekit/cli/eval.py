"""``sst-mergekit eval``: lm-eval's own command with our tasks in front, and a few options of ours."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import click

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation import sweep
from sst_mergekit.evaluation.command import lm_eval
from sst_mergekit.resources import tasks_path

SUBCOMMANDS = ("run", "ls", "validate")
OURS = """sst-mergekit's own options, beside all of lm-eval's:
  --sandbox CHOICE      around generated programs: auto (default), bwrap, unshare, none, or a command that
                        ends in a Python: "docker run --rm -i --network none python:3.12-slim python"
  --adapters DIR …      score each PEFT adapter of the base in --model_args; the base is loaded once
  --with_base           with --adapters: score the base too, first
  --models DIR …        score each of these checkpoints, with the other settings of --model_args
"""


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
    ours, rest = split_ours(ctx.args)
    arguments, theirs = with_our_tasks(rest)
    helping = not rest or bool({"-h", "--help"} & set(rest))
    if helping:
        click.echo(OURS)
    if theirs is not None:
        click.echo(f"sst-mergekit: using your include path {theirs}, not {tasks_path()}", err=True)
    if ours.sandbox is not None:
        from sst_mergekit.evaluation import sandbox, sandbox_walls

        os.environ[sandbox_walls.VARIABLE] = ours.sandbox
        sandbox.check()
    if ours.with_base and not ours.adapters:
        raise EvaluationError("--with_base: goes with --adapters; without it the base is all there is")
    if ours.adapters and ours.models:
        raise EvaluationError("--models: goes not with --adapters; score them in two runs")
    if ours.adapters:
        sweep.score_adapters(arguments, ours.adapters, ours.with_base)
    elif ours.models:
        sweep.score_models(arguments, ours.models)
    else:
        lm_eval(arguments, scores=arguments[0] == "run" and not helping)


def split_ours(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns our own options and lm-eval's arguments, those untouched.

    >>> ours, rest = split_ours(["--adapters", "a", "b", "--tasks", "sst_mmlu", "--sandbox", "none"])
    >>> ours.adapters, ours.sandbox, rest
    (['a', 'b'], 'none', ['--tasks', 'sst_mmlu'])
    """
    parser = argparse.ArgumentParser(prog="sst-mergekit eval", add_help=False, allow_abbrev=False)
    parser.add_argument("--sandbox")
    parser.add_argument("--adapters", nargs="+")
    parser.add_argument("--with_base", action="store_true")
    parser.add_argument("--models", nargs="+")
    options = {"--sandbox", "--adapters", "--with_base", "--models"}
    if not any(argument.partition("=")[0] in options for argument in arguments):
        return parser.parse_args([]), list(arguments)
    return parser.parse_known_args(arguments)


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
