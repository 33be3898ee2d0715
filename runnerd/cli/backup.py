"""`runnerd backup` and `runnerd restore`."""

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio
import click

from runnerd.cli.address import json_option
from runnerd.cli.configuration import settings_options, usable_plugins
from runnerd.cli.failures import FAILED
from runnerd.cli.output import print_json, size, stderr
from runnerd.cli.progress import progress
from runnerd.cli.storage import show_failures
from runnerd.moving import Failure, NotMoved, restore_backup, take_backup
from runnerd.moving.manifest import Mode
from runnerd.settings import Loaded


@click.command
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--artifacts",
    type=click.Choice(["copy", "manifest"]),
    help="Copy artifacts and models, or list them with their digests.  [default: copy those that "
    "lie on this machine]",
)
@json_option
@settings_options
def backup(loaded: Loaded, *, folder: Path, artifacts: Mode | None, as_json: bool) -> int:
    """Save jobs, logs, runs, models and artifacts in the new FOLDER, while the daemon runs.

    What was answered 202 before it began is in it. The exit code is 1 where an artifact could not
    be saved; it is listed then, and the rest is saved all the same.

    FOLDER is for its owner's eyes only, as the data folder is: scripts and their variables are in
    it. The settings are not: keep runnerd.toml and the store's credentials elsewhere.

    \b
    Example:
      runnerd backup /backup/runnerd-2026-11-26
      runnerd backup /backup/runnerd-2026-11-26 --artifacts manifest
    """
    os.umask(0o077)
    settings = loaded.settings
    try:
        with progress() as told:
            work = partial(
                take_backup, usable_plugins(settings), settings, folder, told, mode=artifacts
            )
            manifest = anyio.run(work)
    except NotMoved as reason:
        raise click.ClickException(f"{reason}. There is no whole backup in {folder}") from reason
    if as_json:
        print_json(json.loads(manifest.model_dump_json()))
        return FAILED if manifest.missing else 0
    verb = (
        "are in it" if manifest.artifacts == "copy" else "are listed in it, and stay in the storage"
    )
    click.echo(
        f"Saved in {folder}. {manifest.objects} artifacts ({size(manifest.objects_size)}) {verb}."
    )
    for note in manifest.notes:
        stderr().print(f"Note: {note}.", style="yellow")
    show_failures([Failure(each.key, each.why) for each in manifest.missing])
    return FAILED if manifest.missing else 0


@click.command
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
@settings_options
def restore(loaded: Loaded, *, folder: Path, as_json: bool) -> int:
    """Restore the backup in FOLDER, for a daemon with the settings in force.

    Its data folder and its database must be empty. Every file is checked against the backup's own
    digests first. Jobs that were under way when the backup was taken end as lost, and are not run
    again by themselves; jobs that were queued are queued. The exit code is 1 where artifacts that
    the backup lists are missing in the storage, or are others; the rest is restored all the same.

    \b
    Example:
      runnerd restore /backup/runnerd-2026-11-26 --data-dir /srv/runnerd
    """
    os.umask(0o077)
    settings = loaded.settings
    try:
        with progress() as told:
            restored = anyio.run(restore_backup, usable_plugins(settings), settings, folder, told)
    except NotMoved as reason:
        raise click.ClickException(str(reason)) from reason
    if as_json:
        print_json(
            {
                "data_dir": str(settings.data_dir),
                "jobs": restored.jobs,
                "lost": restored.lost,
                "failed": [asdict(failure) for failure in restored.failed],
            }
        )
        return FAILED if restored.failed else 0
    click.echo(
        f"Restored {restored.jobs} jobs of {restored.manifest.began_at:%Y-%m-%d %H:%M:%S} UTC in "
        f"{settings.data_dir}. `runnerd serve` carries on there."
    )
    if restored.lost:
        click.echo(
            f"{len(restored.lost)} were under way then and end as lost; `runnerd retry` runs one "
            f"again: {', '.join(restored.lost)}"
        )
    show_failures(restored.failed)
    return FAILED if restored.failed else 0
