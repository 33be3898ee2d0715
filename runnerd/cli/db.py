"""`runnerd db`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from runnerd.cli.address import json_option
from runnerd.cli.configuration import settings_options
from runnerd.cli.output import print_json
from runnerd.settings import Loaded, Settings
from runnerd.store import migrations
from runnerd.store.errors import StoreProblem


@click.group
def db() -> None:
    """Look after the database. These commands open it directly.

    \b
    Example:
      runnerd db check
      runnerd db upgrade
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
