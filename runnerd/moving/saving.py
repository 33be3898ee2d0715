"""The parts of a backup that follow the store: MLflow's database, files of the data folder,
artifacts.
"""

from collections.abc import Mapping
from pathlib import Path

from anyio import to_thread

from runnerd.jobs import Attempt
from runnerd.moving.copying import copy_objects
from runnerd.moving.databases import save_sqlite
from runnerd.moving.errors import NotMoved
from runnerd.moving.files import copy_file, plain_files
from runnerd.moving.manifest import DATA, MLFLOW, OBJECTS, Listing, Mode
from runnerd.moving.objects import (
    Failure,
    Told,
    digest_of,
    extent_of,
    for_each,
    is_gone,
    reason_of,
    walk,
)
from runnerd.moving.storages import UNDELIVERED, opened_folder, with_undelivered
from runnerd.plugins import Storage, StoredObject
from runnerd.plugins.mlflow import NAME as MLFLOW_PLUGIN
from runnerd.plugins.mlflow import MlflowSettings
from runnerd.plugins.mlflow.database import database_file
from runnerd.settings import Settings
from runnerd.store import Store

# A request has the job's token in it; a lock is nothing without the runner that holds it.
LEFT_OUT = frozenset({"request.json", "lock"})


class Behind:
    """What stands behind registered models, and has not been seen among the artifacts yet.

    ``names`` are the run and the logged models of each job, by its id.
    """

    def __init__(self, names: Mapping[str, frozenset[str]]) -> None:
        self._names = names
        self._unseen = {name for each in names.values() for name in each}

    def see(self, key: str) -> None:
        """Cross off what an artifact belongs to."""
        self._unseen.difference_update(key.split("/"))

    def missing(self) -> list[Failure]:
        """List the jobs whose model has no artifact at all."""
        return [
            Failure(f"the model of job {job}", "no artifact of its run is in the storage")
            for job, names in self._names.items()
            if names <= self._unseen
        ]


async def save_mlflow(settings: Settings, folder: Path, told: Told) -> list[str]:
    """Save the database of the daemon's own MLflow server; gives what is to be said of it."""
    if settings.tracking.plugin != MLFLOW_PLUGIN:
        return [f"what the tracker {settings.tracking.plugin!r} keeps is not in the backup"]
    chosen = MlflowSettings.model_validate(settings.plugins.get(MLFLOW_PLUGIN, {}))
    if chosen.url is not None:
        return [f"runs and models are kept by the MLflow server at {chosen.url}: back that up too"]
    file = database_file(chosen, settings.data_dir / "plugins" / MLFLOW_PLUGIN)
    if file is None:
        return [
            "runs and models are in the database of plugins.mlflow.backend_store_uri, which is no "
            "SQLite file: save that right after this with its own tools, such as pg_dump"
        ]
    if not file.exists():
        return ["MLflow has kept nothing yet"]
    told("saving MLflow's database", 0, 1)
    await to_thread.run_sync(save_sqlite, file, folder / MLFLOW)
    return []


async def save_data(
    store: Store, settings: Settings, folder: Path, files: Listing, told: Told, *, mode: Mode
) -> None:
    """Save the logs and records of the attempts that ``store`` knows on this node, and the plans of
    environments.

    Where artifacts are only listed, those that wait on this machine to be delivered are saved too.
    """
    saving = _Saving(settings.data_dir, folder, files)
    whole = sum([len(batch) async for batch in store.launched_on(settings.node)])
    done = 0
    async for batch in store.launched_on(settings.node):
        await to_thread.run_sync(saving.save_attempts, batch)
        done += len(batch)
        told("saving logs", done, whole)
    await to_thread.run_sync(saving.save, settings.data_dir / "node.id")
    await to_thread.run_sync(saving.save_below, settings.data_dir / "environments" / "plans")
    if mode == "manifest":
        waiting = settings.data_dir / UNDELIVERED / "objects"
        await to_thread.run_sync(saving.save_below, waiting)


class _Saving:
    """Copies files of the data folder to the same places below the backup's own. It blocks."""

    def __init__(self, data_dir: Path, folder: Path, files: Listing) -> None:
        self._data_dir = data_dir
        self._folder = folder
        self._files = files

    def save(self, file: Path) -> None:
        name = f"{DATA}/{file.relative_to(self._data_dir)}"
        try:
            copied = copy_file(file, self._folder / name)
        except OSError as error:
            raise NotMoved(f"{file} can't be copied: {error.strerror}") from error
        if copied is not None:
            self._files.add(name, *copied)

    def save_below(self, folder: Path) -> None:
        for file in plain_files(folder):
            self.save(file)

    def save_attempts(self, attempts: list[Attempt]) -> None:
        """Save what lies directly in the folders of attempts; what scripts left lies deeper."""
        for attempt in attempts:
            folder = self._data_dir / "jobs" / attempt.job_id / str(attempt.number)
            names = [each.name for each in folder.iterdir()] if folder.is_dir() else []
            for name in sorted(set(names) - LEFT_OUT):
                self.save(folder / name)


async def save_artifacts(
    storage: Storage,
    settings: Settings,
    folder: Path,
    told: Told,
    *,
    mode: Mode,
    listed: Listing,
    behind: Behind,
) -> list[Failure]:
    """Copy the artifacts, or only list them, each with its digest; gives those that failed."""
    source = await with_undelivered(storage, settings, settings.storage.plugin)

    def _note(key: str, size: int, digest: str) -> None:
        listed.add(key, size, digest)
        behind.see(key)

    if mode == "copy":
        target = await opened_folder(folder / OBJECTS)
        return (await copy_objects(source, target, told, noted=_note)).failed
    failed: list[Failure] = []
    whole, done = (await extent_of(source)).size, 0

    async def _list(found: StoredObject) -> None:
        nonlocal done
        try:
            _note(found.key, *await digest_of(source, found.key))
        except Exception as error:  # whatever a plugin does wrong, the others are still listed
            if not await is_gone(source, found.key):
                failed.append(Failure(found.key, reason_of(error)))
        done += found.size
        told("reading artifacts", done, whole)

    await for_each(walk(source), _list)
    return failed
