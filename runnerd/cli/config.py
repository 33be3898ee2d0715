"""`runnerd config`."""

import json
from typing import Any

import click

from runnerd.cli.address import json_option
from runnerd.cli.configuration import plugin_models, settings_options
from runnerd.cli.output import listing, print_json, stdout
from runnerd.settings import Loaded, in_force


@click.command
@json_option
@settings_options
def config(loaded: Loaded, as_json: bool) -> None:
    """Show the settings in force and where each came from; secrets are masked.

    \b
    Example:
      runnerd config
      RUNNERD_SERVER_PORT=9000 runnerd config --json
    """
    rows = list(in_force(loaded, plugin_models(loaded.settings)))
    if as_json:
        print_json({row.key: {"value": row.value, "source": row.source} for row in rows})
        return
    table = listing("Key", "Value", "Source")
    for row in rows:
        style = "dim" if row.source == "default" else "bold"
        table.add_row(row.key, _shown(row.value), row.source, style=style)
    stdout().print(table)


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value)
