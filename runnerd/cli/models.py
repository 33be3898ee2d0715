"""`runnerd models`."""

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected
from runnerd.cli.output import age, listing, print_json, stdout
from runnerd.client import Model


@click.command
@click.argument("name", required=False)
@json_option
@client_options
def models(address: Address, name: str | None, as_json: bool) -> None:
    """List the registered models, or show the newest versions of the model NAME.

    \b
    Example:
      runnerd models
      runnerd models iris --json
    """
    with connected(address) as client:
        found = client.models() if name is None else client.model(name)
    if as_json:
        print_json(found)
    elif isinstance(found, list):
        _list(found)
    else:
        _show(found)


def _list(found: list[Model]) -> None:
    if not found:
        click.echo("No model is registered. `runnerd submit train.py` trains one.")
        return
    table = listing("Model", "Version", "Run", "Updated", "Description")
    for each in found:
        newest = max(
            each["latest_versions"], key=lambda version: int(version["version"]), default=None
        )
        table.add_row(
            each["name"],
            newest["version"] if newest else "–",
            (newest["run_id"] or "–") if newest else "–",
            age(each["updated_at"]),
            each["description"] or "",
        )
    stdout().print(table)


def _show(model: Model) -> None:
    table = listing("Version", "Stage", "Run", "Created", "Tags")
    for version in model["latest_versions"]:
        tags = ", ".join(f"{key}={value}" for key, value in sorted(version["tags"].items()))
        table.add_row(
            version["version"],
            version["stage"],
            version["run_id"] or "–",
            age(version["created_at"]),
            tags,
        )
    console = stdout()
    console.print(model["name"], style="bold", markup=False)
    if model["description"]:
        console.print(model["description"], markup=False)
    console.print(table)
