"""``sst-mergekit report``: the report of experiments, made again from their results."""

from __future__ import annotations

from pathlib import Path

import click

from sst_mergekit.cli import output


@click.command("report", cls=output.Command)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option(
    "--examples/--no-examples",
    default=None,
    help="Include prompts and answers.  [default: those of the tiny world alone]",
)
def command(out: Path, examples: bool | None) -> None:
    """Write report.md, report.json, report.html and pictures into OUT, where demo, study or experiment wrote.

    The page loads nothing; harmful prompts and the answers to them are folded away in it. --json prints
    {files}.
    """
    from sst_mergekit.reporting.write import write

    files, _ = write(out, examples)
    output.result({"files": files}, "\n".join(map(str, files)))
