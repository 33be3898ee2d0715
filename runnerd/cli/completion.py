"""`runnerd completion`."""

import click
from click.shell_completion import get_completion_class


@click.command
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes runnerd's commands in SHELL.

    \b
    Example:
      runnerd completion bash > ~/.local/share/bash-completion/completions/runnerd
      runnerd completion zsh > "${fpath[1]}/_runnerd"
      runnerd completion fish > ~/.config/fish/completions/runnerd.fish
    """
    completer = get_completion_class(shell)
    if completer is None:
        raise click.UsageError(f"click has no completion for {shell}")
    root = context.find_root()
    click.echo(completer(root.command, {}, "runnerd", "_RUNNERD_COMPLETE").source())
