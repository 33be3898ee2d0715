"""A backup: the store, MLflow's database, logs, plans and artifacts, while daemons go on.

The order is what makes the parts fit. Each refers to those after it, and none back: a job names its
attempts' folders and its runs, a run and a model version name their artifacts. What is named was
there before its name was written, and no daemon removes it. So each part is saved before those that
it refers to, and they hold all that it names, or more; the more belongs to what began meanwhile,
and nothing in the backup leads to it.
"""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from anyio import to_thread

from runnerd import __version__
from runnerd.moving.databases import in_words, save_store
from runnerd.moving.errors import NotMoved
from runnerd.moving.manifest import (
    ARTIFACTS,
    FILES,
    FORMAT,
    MANIFEST,
    STORE,
    Listing,
    Manifest,
    Missing,
    Mode,
)
from runnerd.moving.objects import Told
from runnerd.moving.saving import Behind, save_artifacts, save_data, save_mlflow
from runnerd.moving.storages import opened_storage
from runnerd.plugins.loader import Plugins
from runnerd.settings import Settings
from runnerd.store import Store, migrations


async def take_backup(
    plugins: Plugins,
    settings: Settings,
    folder: Path,
    told: Told,
    *,
    mode: Mode | None = None,
) -> Manifest:
    """Save everything in ``folder``, which is new or empty.

    ``mode`` tells whether artifacts are copied or only listed; None copies those that lie on this
    machine. Raises ``NotMoved``; the folder then has no manifest, and is no backup.
    """
    began_at = datetime.now(UTC)
    name = settings.storage.plugin
    _make(folder)
    async with opened_storage(plugins, settings, name) as storage:
        if mode is None:
            mode = "manifest" if storage.remote else "copy"
        await save_store(settings.database_url(), folder / STORE, told)
        notes = await save_mlflow(settings, folder, told)
        with Listing(folder / FILES) as files:
            with in_words("the saved database"):
                async with Store(f"sqlite:///{folder / STORE}") as store:
                    await save_data(store, settings, folder, files, told, mode=mode)
                    behind = Behind(await store.behind_versions())
            await to_thread.run_sync(files.add_databases, folder)
        with Listing(folder / ARTIFACTS) as artifacts:
            failed = await save_artifacts(
                storage, settings, folder, told, mode=mode, listed=artifacts, behind=behind
            )
    missing = [Missing(**asdict(failure)) for failure in (*failed, *behind.missing())]
    manifest = Manifest(
        format=FORMAT,
        runnerd=__version__,
        revision=migrations.head(),
        began_at=began_at,
        ended_at=datetime.now(UTC),
        node=settings.node,
        data_dir=settings.data_dir,
        storage=name,
        artifacts=mode,
        objects=artifacts.count,
        objects_size=artifacts.size,
        missing=sorted(missing, key=lambda each: each.key),
        notes=notes,
        digests={FILES: files.sha256, ARTIFACTS: artifacts.sha256},
    )
    await to_thread.run_sync(_seal, folder, manifest)
    return manifest


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise NotMoved(f"{folder} is not empty: name a new folder for each backup")
        folder.chmod(0o700)
    except OSError as error:
        raise NotMoved(f"the folder {folder} can't be used: {error.strerror}") from error


def _seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest once all else is on the disk, and have it there too."""
    os.sync()
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n")
    os.sync()
