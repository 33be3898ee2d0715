"""`runnerd storage`."""

import os
from dataclasses import asdict
from pathlib import Path

import anyio
import click

from runnerd.cli.address import json_option
from runnerd.cli.configuration import loaded_settings, settings_options, usable_plugins
from runnerd.cli.failures import FAILED
from runnerd.cli.output import listing, print_json, size, stdout
from runnerd.cli.progress import Told, progress
from runnerd.moving import Failure, NotMoved, Tally, copy_objects, opened_source, opened_storage
from runnerd.moving.objects import AT_ONCE
from runnerd.settings import Loaded, Settings

MOST_AT_ONCE = 32


@click.group
def storage() -> None:
    """Look after what the storage plugin keeps. These commands open it directly.

    \b
    Example:
      runnerd storage copy local s3
    """


@storage.command
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--to-config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The settings file that describes TO, where it is another than that of FROM.",
)
@click.option("--dry-run", is_flag=True, help="Compare, and tell what would be copied.")
@click.option("--size-only", is_flag=True, help="Take objects of the same size for equal.")
@click.option(
    "--at-once",
    type=click.IntRange(1, MOST_AT_ONCE),
    default=AT_ONCE,
    show_default=True,
    help="How many objects are under way at a time.",
)
@json_option
@settings_options
def copy(
    loaded: Loaded,
    source: str,
    target: str,
    *,
    to_config: Path | None,
    dry_run: bool,
    size_only: bool,
    at_once: int,
    as_json: bool,
) -> int:
    """Copy every object of the storage FROM to the storage TO.

    Both are names of storage plugins, which find their settings in [plugins.NAME] of runnerd.toml.
    For two storages of one kind a second file, given with --to-config, has the settings of TO;
    RUNNERD_ variables count for FROM alone then.

    What TO has already and is equal is not copied again: a copy that was interrupted goes on where
    it stopped. What is copied is read back and compared. Nothing is deleted on either side. The
    daemon may run on meanwhile; copy once more when it is stopped, and then change storage.plugin.
    The exit code is 1 where an object could not be copied.

    \b
    Example:
      runnerd storage copy local s3 --dry-run
      runnerd storage copy local s3
      runnerd storage copy s3 s3 --to-config /etc/runnerd/new.toml
    """
    ours = loaded.settings
    theirs = ours
    if to_config is not None:
        theirs = loaded_settings(to_config, {}, environ={}).settings
    if source == target and _described(ours, source) == _described(theirs, target):
        raise click.UsageError(
            f"FROM and TO are the same storage {source!r}: describe the other in a settings file "
            "of its own, and name that with --to-config"
        )
    os.umask(0o077)

    async def _copied(told: Told) -> Tally:
        async with (
            opened_source(usable_plugins(ours), ours, source) as origin,
            opened_storage(usable_plugins(theirs), theirs, target) as new,
        ):
            return await copy_objects(
                origin, new, told, at_once=at_once, size_only=size_only, dry_run=dry_run
            )

    try:
        with progress() as told:
            tally = anyio.run(_copied, told)
    except NotMoved as reason:
        raise click.ClickException(str(reason)) from reason
    if as_json:
        print_json(asdict(tally))
    else:
        _show(tally, source, target, dry_run=dry_run)
    return FAILED if tally.failed else 0


def _described(settings: Settings, name: str) -> tuple[object, ...]:
    return settings.plugins.get(name, {}), settings.data_dir


def _show(tally: Tally, source: str, target: str, *, dry_run: bool) -> None:
    verb = "would be copied" if dry_run else "copied"
    click.echo(
        f"From {source} to {target}: {tally.copied.objects} objects ({size(tally.copied.size)}) "
        f"{verb}, {tally.equal.objects} ({size(tally.equal.size)}) there already"
        + (f", {tally.gone} deleted meanwhile" if tally.gone else "")
        + (f", {len(tally.failed)} failed." if tally.failed else ".")
    )
    show_failures(tally.failed)
    if not dry_run and not tally.failed:
        click.echo(
            "Copy once more when the daemon is stopped, and set storage.plugin before it starts."
        )


def show_failures(failures: list[Failure]) -> None:
    """List what did not get through."""
    if failures:
        table = listing("Failed", "Why")
        for failure in sorted(failures, key=lambda each: each.key):
            table.add_row(failure.key, failure.why)
        stdout().print(table)
