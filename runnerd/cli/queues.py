"""`runnerd queues`."""

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected
from runnerd.cli.output import listing, print_json, stdout


@click.command
@json_option
@client_options
def queues(address: Address, *, as_json: bool) -> None:
    """List the queues with their limits and what they hold.

    \b
    Example:
      runnerd queues
    """
    with connected(address) as client:
        found = client.queues()
    if as_json:
        print_json(found)
        return
    table = listing("Queue", "Queued", "Running", "At most", "Priority", "Executor")
    for queue in found:
        limit = queue["max_running"]
        table.add_row(
            queue["name"],
            str(queue["queued"]),
            str(queue["running"]),
            "no limit" if limit is None else str(limit),
            str(queue["priority"]),
            queue["executor"] or "the node's",
        )
    stdout().print(table)
