"""``runnerd-notifier``: look at what could not be delivered, and have it tried again."""

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from runnerd_notifier.queue import Queue


@click.group()
@click.option(
    "--data-dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The daemon's data folder.",
)
@click.pass_context
def main(context: click.Context, data_dir: Path) -> None:
    """Look at notifications that were given up.

    Example: runnerd-notifier --data-dir /var/lib/runnerd dead
    """
    file = data_dir / "plugins" / "notifier" / "queue.db"
    if not file.exists():
        raise click.ClickException(f"there is no {file}: has the daemon of this folder notified?")
    context.obj = Queue(file)
    context.call_on_close(context.obj.close)


@main.command()
@click.option("--bodies", is_flag=True, help="Show what was to be sent, too.")
@click.pass_obj
def dead(queue: Queue, *, bodies: bool) -> None:
    """List what was given up: its id, when it happened, how often it was tried, and why."""
    for each in queue.dead():
        since = datetime.fromtimestamp(each.since, UTC).isoformat(timespec="seconds")
        click.echo(f"{each.id}  {since}  {each.tries} tries  {each.why}")
        if bodies:
            click.echo(each.body.decode())


@main.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that was given up.")
@click.pass_obj
def redeliver(queue: Queue, ids: tuple[str, ...], *, everything: bool) -> None:
    """Have what was given up tried again; a running daemon does it within seconds."""
    wanted = [each.id for each in queue.dead()] if everything else list(ids)
    if not wanted and not everything:
        raise click.UsageError("name the ids that `dead` lists, or give --all")
    unknown = [each for each in wanted if not queue.redeliver(each, time.time())]
    if unknown:
        raise click.ClickException(f"not given up, or not there: {', '.join(unknown)}")
    click.echo(f"{len(wanted)} to be tried again")
