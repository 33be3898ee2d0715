"""`runnerd nodes`."""

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected
from runnerd.cli.output import age, listing, print_json, stdout


@click.command
@json_option
@client_options
def nodes(address: Address, *, as_json: bool) -> None:
    """List the daemons that share the queue, and whether they live.

    \b
    Example:
      runnerd nodes
    """
    with connected(address) as client:
        found = client.nodes()
    if as_json:
        print_json(found)
        return
    table = listing("Node", "Alive", "Live jobs", "Seen", "Started", "Address")
    for node in found:
        table.add_row(
            node["name"],
            "yes" if node["alive"] else "no",
            str(node["live_jobs"]),
            age(node["seen_at"]),
            age(node["started_at"]),
            node["url"],
        )
    stdout().print(table)
