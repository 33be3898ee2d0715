"""`runnerd status`."""

from typing import Any

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.checks.service import parts_of
from runnerd.cli.connection import connected
from runnerd.cli.output import print_json, sheet, state, stdout


@click.command
@json_option
@client_options
def status(address: Address, *, as_json: bool) -> None:
    """Show how the daemon and its plugins are, and how many jobs there are.

    \b
    Example:
      runnerd status
    """
    with connected(address) as client:
        found = client.status()
    if as_json:
        print_json(found)
    else:
        stdout().print(sheet(_rows(client.url, found)))


def _rows(url: str, found: dict[str, Any]) -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = [
        ("Daemon", url),
        ("Version", found.get("version")),
        ("Draining", "yes: no job is claimed" if found.get("draining") else None),
        ("Tracking URI", found["mlflow_tracking_uri"]),
        ("Models", found["registered_models"]),
        ("Experiments", found["active_experiments"]),
    ]
    for kind, health in parts_of(found).items():
        words = state(health["condition"])
        if health.get("detail"):
            words.append(f": {health['detail']}", style="default")
        rows.append((kind[:1].upper() + kind[1:], words))
    queue = found.get("queue")
    if queue is None:
        return [*rows, ("Jobs", state("unknown: the database does not answer"))]
    jobs = ", ".join(f"{count} {name}" for name, count in queue.items() if count)
    return [*rows, ("Jobs", jobs or "none")]
