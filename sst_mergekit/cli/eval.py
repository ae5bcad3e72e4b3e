"""``sst-mergekit eval``: lm-eval's own command with our tasks beside its own, and a few options of ours."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import click

from sst_mergekit.errors import EvaluationError
from sst_mergekit.evaluation import command as harness
from sst_mergekit.evaluation import sweep

OURS = """sst-mergekit's own options, beside all of lm-eval's:
  --sandbox CHOICE      around generated programs: auto (default), bwrap, unshare, none, or a command that
                        ends in a Python: "docker run --rm -i --network none python:3.12-slim python"
  --adapters DIR …      score each PEFT adapter of the base in --model_args, in one process
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
    """Run ``lm_eval`` with these arguments and our tasks beside its own."""
    ours, rest = split_ours(ctx.args)
    if not rest or {"-h", "--help"} & set(rest):
        click.echo(OURS)
    if ours.sandbox is not None:
        from sst_mergekit.evaluation import sandbox, sandbox_walls

        os.environ[sandbox_walls.VARIABLE] = ours.sandbox
        sandbox.check()
    if ours.with_base and not ours.adapters:
        raise EvaluationError("--with_base: goes with --adapters; without it the base is all there is")
    if ours.adapters and ours.models:
        raise EvaluationError("--models: goes not with --adapters; score them in two runs")
    if ours.adapters:
        sweep.score_adapters(rest, ours.adapters, ours.with_base)
    elif ours.models:
        sweep.score_models(rest, ours.models)
    else:
        harness.execute(harness.parsed(rest))


def split_ours(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return our own options and lm-eval's arguments, those untouched.

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
