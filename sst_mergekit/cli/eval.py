"""``sst-mergekit eval``: lm-eval's own command with our tasks in front, and three options of ours."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from sst_mergekit.errors import EvaluationError
from sst_mergekit.resources import tasks_path

SUBCOMMANDS = ("run", "ls", "validate")
HF_MODELS = ("hf", "hf-auto", "huggingface")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
OURS = """sst-mergekit's own options, beside all of lm-eval's:
  --sandbox CHOICE      around generated programs: auto (default), bwrap, unshare, none, or a command that
                        ends in a Python: "docker run --rm -i --network none python:3.12-slim python"
  --adapters DIR …      score each PEFT adapter of the base in --model_args; the base is loaded once
  --with_base           with --adapters: score the base too, first
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
    if ours.adapters:
        score_adapters(arguments, ours.adapters, ours.with_base)
    else:
        lm_eval(arguments, scores=arguments[0] == "run" and not helping)


def lm_eval(arguments: Sequence[str], scores: bool = True) -> None:
    """Run lm-eval's own command; one that `scores` halves its batch when memory runs out."""
    from lm_eval.__main__ import cli_evaluate

    from sst_mergekit.evaluation.out_of_memory import halving_batches
    from sst_mergekit.evaluation.processes import dividing_requests

    if not scores:
        with _argv(arguments):
            cli_evaluate()
        return
    with _argv(arguments), halving_batches(), dividing_requests():
        cli_evaluate()


def score_adapters(arguments: Sequence[str], adapters: Sequence[str], with_base: bool) -> None:
    """Run lm-eval's command once for each adapter, in this process, on one base."""
    output = _checked(arguments, adapters)

    from sst_mergekit.evaluation.processes import is_first
    from sst_mergekit.evaluation.shared_base import shared_base

    with shared_base():
        for adapter in ([None] if with_base else []) + list(adapters):
            more = [] if adapter is None else ["--model_args", json.dumps({"peft": adapter})]
            before = set(output.rglob("results_*.json"))
            lm_eval([*arguments, *more])
            written = set(output.rglob("results_*.json")) - before
            if is_first() and not written:  # lm-eval swallows errors of saving
                raise EvaluationError(
                    f"--output_path {output}: no results of {adapter or 'the base'} were written"
                )


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
    options = {"--sandbox", "--adapters", "--with_base"}
    if not any(argument.partition("=")[0] in options for argument in arguments):
        return parser.parse_args([]), list(arguments)
    return parser.parse_known_args(arguments)


def _checked(arguments: Sequence[str], adapters: Sequence[str]) -> Path:
    """Returns the folder of results; raises where these arguments cannot be a run of many adapters."""
    from lm_eval._cli import HarnessCLI

    with _argv(arguments):
        asked = HarnessCLI().parse_args()
    settings = getattr(asked, "model_args", None) or {}
    if asked.command != "run" or (asked.model or "hf") not in HF_MODELS:
        raise EvaluationError(
            f"--adapters: goes with 'run' and --model hf, not {asked.model or asked.command}"
        )
    if "pretrained" not in settings or {"peft", "delta"} & set(settings):
        raise EvaluationError("--adapters: name the base, and no adapter, by --model_args pretrained=BASE")
    if asked.output_path is None or asked.output_path.endswith(".json"):
        raise EvaluationError("--adapters: give --output_path DIR, for one folder of results an adapter")
    for number, adapter in enumerate(adapters):
        if adapter in adapters[:number]:
            raise EvaluationError(f"--adapters: {adapter} is named twice")
        missing = [name for name in ADAPTER_FILES if not (Path(adapter) / name).is_file()]
        if Path(adapter).exists() and missing:
            raise EvaluationError(f"--adapters: {adapter} has no {missing[0]}; give a PEFT adapter's folder")
    return Path(asked.output_path)


@contextmanager
def _argv(arguments: Sequence[str]) -> Iterator[None]:
    before = sys.argv
    sys.argv = ["sst-mergekit eval", *arguments]
    try:
        yield
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
