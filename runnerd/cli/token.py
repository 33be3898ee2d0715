"""`runnerd token`."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import click

from runnerd.cli.address import json_option
from runnerd.cli.configuration import settings_options
from runnerd.cli.db import database
from runnerd.cli.output import listing, print_json, state, stdout
from runnerd.settings import Loaded, Settings
from runnerd.store import Store, TokenRecord, migrations

Answer = TypeVar("Answer")


@click.group
def token() -> None:
    """Create, list and revoke access tokens. These commands open the database directly.

    Once a token exists, the daemon asks for one on every address.

    \b
    Example:
      export RUNNERD_TOKEN=$(runnerd token create alice)
    """


def _in_store(settings: Settings, work: Callable[[Store], Awaitable[Answer]]) -> Answer:
    async def run(url: str) -> Answer:
        async with Store(url) as store:
            return await work(store)

    with database(settings) as url:
        migrations.upgrade(url)
        return asyncio.run(run(url))


@token.command
@click.argument("name")
@json_option
@settings_options
def create(loaded: Loaded, name: str, as_json: bool) -> None:
    """Create a token called NAME and print its secret, which can't be shown again.

    \b
    Example:
      runnerd token create alice
    """
    if not name.strip():
        raise click.UsageError("the token needs a name: who will use it?")
    made = _in_store(loaded.settings, lambda store: store.create_token(name))
    if as_json:
        print_json({"name": made.name, "token": made.secret})
        return
    click.echo(f"Keep this token of {made.name}: it is not shown again.", err=True)
    click.echo(made.secret)


@token.command("list")
@json_option
@settings_options
def list_tokens(loaded: Loaded, as_json: bool) -> None:
    """List the tokens, revoked ones too; their secrets are kept nowhere.

    \b
    Example:
      runnerd token list
    """
    records = _in_store(loaded.settings, lambda store: store.list_tokens())
    if as_json:
        print_json([_as_json(record) for record in records])
        return
    if not records:
        click.echo("There is no token. `runnerd token create NAME` makes one.")
        return
    table = listing("Name", "State", "Created", "Last used")
    for record in records:
        word = "revoked" if record.revoked_at else "live"
        used = _day(record.last_used_at) if record.last_used_at else "never"
        table.add_row(record.name, state(word), _day(record.created_at), used)
    stdout().print(table)


@token.command
@click.argument("name")
@json_option
@settings_options
def revoke(loaded: Loaded, name: str, as_json: bool) -> None:
    """Revoke the token called NAME at once.

    \b
    Example:
      runnerd token revoke alice
    """
    _in_store(loaded.settings, lambda store: store.revoke_token(name))
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        click.echo(f"The token {name} is revoked.")


def _as_json(record: TokenRecord) -> dict[str, str | None]:
    times = {
        "created_at": record.created_at,
        "revoked_at": record.revoked_at,
        "last_used_at": record.last_used_at,
    }
    return {"name": record.name} | {
        name: moment.isoformat().replace("+00:00", "Z") if moment else None
        for name, moment in times.items()
    }


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
