"""The ``sst-mergekit`` command: one file per subcommand, each imported only when it is called."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem

from sst_mergekit import __version__
from sst_mergekit.cli import output
from sst_mergekit.errors import one_line

# name -> (module that holds the function `command`, the line shown by --help)
COMMANDS = {
    "fisher": ("sst_mergekit.cli.fisher", "Measure Fisher statistics of a model on a data set."),
    "init": ("sst_mergekit.cli.init", "Write a commented recipe from models and statistics."),
    "check": ("sst_mergekit.cli.check", "Find faults in a merge recipe before merging."),
    "inspect": ("sst_mergekit.cli.inspect", "Show what a recipe would keep of each patch."),
    "yaml": ("sst_mergekit.cli.yaml", "Check a recipe, then run mergekit-yaml on it."),
    "lora": ("sst_mergekit.cli.lora", "Merge LoRA adapters of one base into an adapter."),
    "refit": ("sst_mergekit.cli.refit", "Fit a safety patch to its utility expert on calibration data."),
    "eval": ("sst_mergekit.cli.eval", "Run lm-eval's own command with our tasks beside its own."),
    "compare": (
        "sst_mergekit.cli.compare",
        "Compare lm-eval runs on the same prompts, with intervals and tests.",
    ),
    "judge": ("sst_mergekit.cli.judge", "Add a judge's verdicts to the answers that lm-eval logged."),
    "card": ("sst_mergekit.cli.card", "Complete the card of a merge: sources, hashes, licences, results."),
    "push": ("sst_mergekit.cli.push", "Send a merge, an adapter or statistics to the Hugging Face Hub."),
    "tasks-path": ("sst_mergekit.cli.tasks_path", "Print the folder for lm_eval --include_path."),
    "experiment": (
        "sst_mergekit.cli.experiment",
        "Safety tax, interference of many tasks, comparison with baselines.",
    ),
    "report": ("sst_mergekit.cli.report", "Make the report of experiments again from their results."),
    "study": (
        "sst_mergekit.cli.study",
        "Study your own base, experts, data and tasks: train, measure, merge, tune, score.",
    ),
    "sweep": (
        "sst_mergekit.cli.sweep",
        "Search a recipe's parameters for the front of safety and utility.",
    ),
    "train-lora": ("sst_mergekit.cli.train_lora", "Train a LoRA expert on conversations."),
    "data": ("sst_mergekit.cli.data", "Download BeaverTails, MMLU and HumanEval, and split them."),
    "completion": ("sst_mergekit.cli.completion", "Print the completion script of bash, zsh or fish."),
    "demo": ("sst_mergekit.cli.demo", "Train, merge and score tiny models, offline, end to end."),
    "tally": ("sst_mergekit.cli.tally", "Count several demos together: one method against the others."),
}


class LazyGroup(click.Group):
    """A click group whose subcommands are imported when called, so --help needs no torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(COMMANDS[cmd_name][0]).command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands, whose modules click would import, and the options of the group."""
        named = [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            ctx.color = False
        try:
            with _ending_on_sigterm():
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # a panic of tokenizers or safetensors is no Exception
            line = one_line(error)
            if line is None:
                raise
            if output.asked().verbose:
                traceback.print_exc()
            output.fail(line, "sst-mergekit: ")
            sys.exit(2)


@contextlib.contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end a command as an interrupt does: temporary files are removed, workers stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sst-mergekit")
def main() -> None:
    """Merge a safety expert into a skilled model and keep both."""
