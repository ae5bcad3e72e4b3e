"""``sst-mergekit tasks-path``: where the lm-eval tasks are."""

import click

from sst_mergekit.resources import tasks_path


@click.command("tasks-path")
def command() -> None:
    """Print the folder to give to ``lm_eval run --include_path``."""
    click.echo(tasks_path())
