"""`runnerd db`."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from runnerd.cli.address import json_option
from runnerd.cli.configuration import settings_options
from runnerd.cli.output import listing, print_json, stdout
from runnerd.cli.progress import progress
from runnerd.settings import Loaded, Settings
from runnerd.store import migrations
from runnerd.store.copying import copy_database
from runnerd.store.errors import StoreProblem


@click.group
def db() -> None:
    """Look after the database. These commands open it directly.

    \b
    Example:
      runnerd db check
      runnerd db upgrade
      runnerd db copy sqlite:////srv/runnerd/runnerd.db postgresql://runnerd@db.example.org/runnerd
    """


@contextmanager
def database(settings: Settings, *, make: bool = True) -> Iterator[str]:
    """Give the database's URL; what the store raises ends the command.

    With ``make`` its folder is made where it is missing; else a missing file ends the command.
    """
    folder = settings.data_dir
    try:
        if make:
            os.umask(0o077)
            folder.mkdir(parents=True, exist_ok=True)
        elif settings.database.url is None and not (folder / "runnerd.db").exists():
            raise click.ClickException(
                f"there is no database in {folder} yet: `runnerd serve` and `runnerd db upgrade` "
                "make it"
            )
        yield settings.database_url()
    except OSError as error:
        raise click.ClickException(f"can't use the folder {folder}: {error.strerror}") from error
    except StoreProblem as error:
        raise click.ClickException(str(error)) from error


@db.command
@json_option
@settings_options
def upgrade(loaded: Loaded, as_json: bool) -> None:
    """Bring the database to this runnerd's schema; does nothing where it is there already.

    \b
    Example:
      runnerd db upgrade --data-dir /srv/runnerd
    """
    with database(loaded.settings) as url:
        before = migrations.current(url)
        migrations.upgrade(url)
    after = migrations.head()
    if as_json:
        print_json({"before": before, "after": after})
    elif before == after:
        click.echo(f"The database is at revision {after} already.")
    else:
        click.echo(f"The database went from revision {before or 'none'} to {after}.")


@db.command
@json_option
@settings_options
def current(loaded: Loaded, as_json: bool) -> None:
    """Print the database's schema revision.

    \b
    Example:
      runnerd db current
    """
    with database(loaded.settings, make=False) as url:
        revision = migrations.current(url)
    if as_json:
        print_json({"revision": revision, "head": migrations.head()})
    else:
        click.echo(revision or "none")


@db.command
@json_option
@settings_options
def check(loaded: Loaded, as_json: bool) -> None:
    """Tell whether the schema is this runnerd's own; exit code 1 where it is not.

    \b
    Example:
      runnerd db check
    """
    with database(loaded.settings, make=False) as url:
        migrations.check(url)
    revision = migrations.head()
    if as_json:
        print_json({"revision": revision, "head": revision})
    else:
        click.echo(f"The database is at revision {revision}, as it should be.")


@db.command
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_option
def copy(source: str, target: str, as_json: bool) -> None:
    """Copy the database FROM to the empty database TO, and compare every row.

    Both are URLs, of an SQLite file (sqlite:////folder/runnerd.db) or of a Postgres database
    (postgresql://user@host/database), whose password may stand in PGPASSWORD or ~/.pgpass.
    Stop the daemons on FROM first; scripts go on. FROM is left as it is. TO holds everything
    once this has succeeded, and nothing before.

    \b
    Example:
      runnerd db copy sqlite:////srv/runnerd/runnerd.db postgresql://runnerd@db.example.org/runnerd
    """
    os.umask(0o077)
    try:
        with progress() as told:
            rows = asyncio.run(copy_database(source, target, told))
    except StoreProblem as problem:
        raise click.ClickException(str(problem)) from problem
    if as_json:
        print_json({"revision": migrations.head(), "rows": rows})
        return
    table = listing("Table", "Rows")
    for name, count in rows.items():
        table.add_row(name, str(count))
    stdout().print(table)
    click.echo("Every row is in the copy. Set database.url to it before a daemon starts again.")
