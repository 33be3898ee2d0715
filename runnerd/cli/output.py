"""How results look."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click
from rich.box import ROUNDED, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES = {
    "live": "green",
    "revoked": "dim",
    "queued": "yellow",
    "preparing": "cyan",
    "running": "cyan",
    "finishing": "cyan",
    "completed": "green",
    "failed": "red",
    "parked": "red",
    "cancelled": "magenta",
    "ok": "green",
    "healthy": "green",
    "warn": "yellow",
    "starting": "yellow",
    "fail": "red",
    "unhealthy": "red",
}


def stdout() -> Console:
    """Give the terminal for results."""
    return Console(highlight=False)


def stderr() -> Console:
    """Give the terminal for progress and notes."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def state(word: str) -> Text:
    """Give a status, phase or condition in its colour."""
    return Text(word, style=STYLES.get(word, ""))


def listing(*columns: str) -> Table:
    """Make a table of many things of one kind."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def sheet(rows: Iterable[tuple[str, Any]], title: str | None = None) -> Table:
    """Make a table of one thing's properties; those that are None are left out."""
    table = Table(box=ROUNDED, show_header=False, title=title, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            table.add_row(name, value if isinstance(value, Text) else Text(str(value)))
    return table


def duration(seconds: float | None) -> str:
    """Give seconds as people say them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(number: float) -> str:
    """Give bytes as people say them."""
    return f"{number / 2**30:.3g} GiB" if number >= 2**30 else f"{number / 2**20:.3g} MiB"


def age(timestamp: str | None) -> str:
    """Give how long ago an RFC 3339 timestamp was."""
    if timestamp is None:
        return "–"
    seconds = (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"
