"""``sst-mergekit completion``: the script that completes commands and options in a shell."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the script that completes commands, options and paths in SHELL.

    \b
    bash:  eval "$(sst-mergekit completion bash)"         in ~/.bashrc
    zsh:   eval "$(sst-mergekit completion zsh)"          in ~/.zshrc
    fish:  sst-mergekit completion fish > ~/.config/fish/completions/sst-mergekit.fish
    """
    from click.shell_completion import get_completion_class

    from sst_mergekit.cli import main

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "sst-mergekit", "_SST_MERGEKIT_COMPLETE").source())
