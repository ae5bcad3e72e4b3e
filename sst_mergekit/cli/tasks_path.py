"""``sst-mergekit tasks-path``: where the lm-eval tasks are."""

import click

from sst_mergekit.cli import output
from sst_mergekit.resources import tasks_path


@click.command("tasks-path", cls=output.Command)
def command() -> None:
    """Print the folder to give to ``lm_eval run --include_path``. --json prints {path}."""
    output.result({"path": tasks_path()}, str(tasks_path()))
