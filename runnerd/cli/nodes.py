"""`runnerd nodes`."""

from typing import Any

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected
from runnerd.cli.output import age, listing, print_json, stdout


@click.group(invoke_without_command=True)
@json_option
@client_options
@click.pass_context
def nodes(context: click.Context, address: Address, *, as_json: bool) -> None:
    """List the daemons that share the queue, and whether they live.

    \b
    Example:
      runnerd nodes
    """
    if context.invoked_subcommand is not None:
        return
    with connected(address) as client:
        found = client.nodes()
    if as_json:
        print_json(found)
        return
    table = listing("Node", "Alive", "Live jobs", "Executors", "Seen", "Started", "Address")
    for node in found:
        table.add_row(
            node["name"],
            _life(node),
            str(node["live_jobs"]),
            ", ".join(node["executors"]) or "unknown",
            age(node["seen_at"]),
            age(node["started_at"]),
            node["url"],
        )
    stdout().print(table)
    for node in found:
        if node["held"]:
            click.echo(_held(node))


def _life(node: dict[str, Any]) -> str:
    if node["alive"]:
        return "yes"
    return "no" if node["released_at"] is None else "released"


def _held(node: dict[str, Any]) -> str:
    more = node["live_jobs"] - len(node["held"])
    return (
        f"{node['name']} is away and holds {', '.join(node['held'])}"
        + (f" and {more} more" if more > 0 else "")
        + ". They wait for its daemon; if that machine is gone for good: "
        f"runnerd nodes release {node['name']}"
    )


@nodes.command
@click.argument("name")
@json_option
@client_options
def release(address: Address, name: str, *, as_json: bool) -> None:
    """Declare that the node NAME is gone for good.

    Its live jobs end as lost, and are tried again elsewhere as often as they may be. Their scripts
    run twice if the machine lives after all: if it is not sure, start its daemon again instead.

    \b
    Example:
      runnerd nodes release gpu-1
    """
    with connected(address) as client:
        done = client.release_node(name)
    if as_json:
        print_json(done)
    elif done["jobs"]:
        click.echo(f"The node {name} is released. It held: {', '.join(done['jobs'])}")
    else:
        click.echo(f"The node {name} is released. It held no job.")
