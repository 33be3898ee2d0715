"""`runnerd drain`."""

import time

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected
from runnerd.cli.output import print_json, stderr
from runnerd.client import Client

POLL_SECONDS = 0.5


@click.command
@click.option(
    "--wait/--no-wait", default=True, help="Wait until no job is left.", show_default=True
)
@click.option("--undo", is_flag=True, help="Let the daemon claim jobs again.")
@json_option
@client_options
def drain(address: Address, *, wait: bool, undo: bool, as_json: bool) -> None:
    """Stop claiming jobs, and wait until the running ones have ended.

    Submissions are still taken: they stay queued until the daemon claims again, which --undo and a
    restart make it do. Ctrl-C ends the waiting, not the draining.

    \b
    Example:
      runnerd drain && systemctl stop runnerd
    """
    with connected(address) as client:
        found = client.resume() if undo else client.drain()
        if wait and not undo:
            found = _wait(client)
    if as_json:
        print_json(found)
    elif undo:
        click.echo("The daemon claims jobs again.")
    elif found["carried"]:
        click.echo(f"The daemon claims no job; {found['carried']} go on.")
    else:
        click.echo("The daemon claims no job, and none is left running.")


def _wait(client: Client) -> dict[str, object]:
    console = stderr()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as spinner:
        task = spinner.add_task("")
        while (found := client.drain())["carried"]:
            spinner.update(task, description=f"Waiting for {found['carried']} jobs to end…")
            time.sleep(POLL_SECONDS)
    return found
