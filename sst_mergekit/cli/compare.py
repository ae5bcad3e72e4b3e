"""``sst-mergekit compare``: models held against one another on the same prompts."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from sst_mergekit.cli import output

REPEATED = {"tasks": "task", "metrics": "metric"}  # names of options whose values are many


@click.command("compare", cls=output.Command)
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("--reference", metavar="NAME", help="The run to hold the others against.  [default: the first]")
@click.option("--task", "tasks", multiple=True, metavar="TASK", help="Only this task (repeatable).")
@click.option("--metric", "metrics", multiple=True, metavar="METRIC", help="Only this metric (repeatable).")
@click.option(
    "--cluster", metavar="FIELD", help="A field of the documents that names the source prompts share."
)
@click.option("--utility-expert", metavar="NAME", help="The run that safety taxes are against.")
@click.option("--safety-expert", metavar="NAME", help="The run whose safety is aimed at.")
@click.option(
    "--safety", multiple=True, metavar="TASK:METRIC", help="What safety is the mean of (repeatable)."
)
@click.option(
    "--utility", multiple=True, metavar="TASK:METRIC", help="What utility is the mean of (repeatable)."
)
@click.option("--allow-different-settings", is_flag=True, help="Compare even so, and print the differences.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the bootstrap.")
@click.option(
    "--resamples", type=click.IntRange(min=100), default=10_000, show_default=True, help="Of the bootstrap."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="A folder for compare.md, compare.json, compare.png."
)
@click.option("--force", is_flag=True, help="Replace what is at --out.")
def command(runs: tuple[str, ...], out: Path | None, force: bool, **chosen) -> None:  # noqa: ANN003
    """Compare lm-eval runs on the same prompts: differences, intervals, tests, safety tax.

    Each RUN is a folder that `lm_eval run --log_samples --output_path FOLDER` wrote, or a results_*.json in
    it; NAME=RUN gives it a name. Or each RUN is a result of `sst-mergekit experiment` (exp1 or exp3), by a
    glob perhaps: then every method in it is a run, on the prompts of all seeds. Runs are joined on the hashes
    of their documents and must agree in task
    version, few-shot examples, chat template, prompts and generation settings. --json prints what
    compare.json holds.
    """
    from sst_mergekit.comparison.markdown import to_markdown
    from sst_mergekit.comparison.report import to_json, write
    from sst_mergekit.comparison.run import Options, compare
    from sst_mergekit.files import refuse_existing

    if out is not None:
        refuse_existing(out, force)
    comparison = compare(runs, Options(**chosen))
    for line in comparison.differing:
        output.warn(f"different settings: {line}")
    again = _command_line(runs, chosen)
    if out is not None:
        write(comparison, out, again, force)
    text = to_markdown(comparison) if out is None else f"{out}: compare.md, compare.json, compare.png"
    output.result(to_json(comparison, again), text)


def _command_line(runs: tuple[str, ...], chosen: dict[str, Any]) -> str:
    """Return the command that makes the comparison again.

    >>> _command_line(("a", "b c"), {"seed": 0, "tasks": ("x", "y"), "cluster": None, "force": True})
    "sst-mergekit compare a 'b c' --seed 0 --task x --task y --force"
    """
    words = ["sst-mergekit", "compare", *runs]
    for name, value in chosen.items():
        flag = f"--{REPEATED.get(name, name.replace('_', '-'))}"
        if value is True:
            words.append(flag)
        elif isinstance(value, tuple):
            words += [word for each in value for word in (flag, each)]
        elif value is not None and value is not False:
            words += [flag, str(value)]
    return shlex.join(words)
