"""A backup becomes a house again: in an empty data folder and an empty database.

The store comes last, in one transaction: before it there is nothing that a daemon would carry on.
"""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from runnerd.holding import hold_data_dir
from runnerd.jobs import RESTORED, Cause, JobState, Outcome
from runnerd.listening import DaemonRefuses
from runnerd.moving.copying import copy_objects
from runnerd.moving.databases import in_words
from runnerd.moving.errors import NotMoved
from runnerd.moving.files import copy_file
from runnerd.moving.manifest import (
    ARTIFACTS,
    DATA,
    FILES,
    MLFLOW,
    OBJECTS,
    STORE,
    Entry,
    Manifest,
    Mode,
    entries,
    read_manifest,
    require_digest,
)
from runnerd.moving.objects import (
    Failure,
    Source,
    Told,
    digest_of,
    for_each,
    reason_of,
)
from runnerd.moving.storages import opened_folder, opened_source, opened_storage
from runnerd.plugins import Executor, NotFound, PluginContext
from runnerd.plugins.loader import PluginMisconfigured, Plugins, PluginUnknown
from runnerd.plugins.mlflow import NAME as MLFLOW_PLUGIN
from runnerd.plugins.mlflow import MlflowSettings
from runnerd.plugins.mlflow.database import database_file
from runnerd.settings import Settings
from runnerd.store import Store
from runnerd.store.copying import export

STAGING = "restoring.db"
LOCK = "daemon.lock"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. ``lost`` are the ids of jobs that were under way when it was saved.

    ``failed`` are artifacts that the storage lacks, or has in another form, with the reasons.
    """

    manifest: Manifest
    jobs: int
    lost: list[str]
    failed: list[Failure]


async def restore_backup(
    plugins: Plugins, settings: Settings, folder: Path, told: Told
) -> Restored:
    """Restore the backup in ``folder`` for a daemon with these settings.

    Raises ``NotMoved`` where the backup is damaged or newer than this runnerd, where the data
    folder or the database is not empty, or where they are in use: nothing of it is there then.
    """
    manifest = await to_thread.run_sync(_checked, folder, told)
    mlflow = _place_of_mlflow(settings, folder)
    _require_node(settings, manifest)
    if manifest.artifacts == "copy":
        await _require_artifacts(folder, told)
    with _emptied_on_failure(settings.data_dir):
        await to_thread.run_sync(_copy_files, folder, settings.data_dir, mlflow)
        staging = settings.data_dir / STAGING
        url = f"sqlite:///{staging}"
        with in_words("the backup's database"):
            async with Store(url) as store:
                await _move_attempts(store, plugins, settings, manifest)
                lost = await _lose_live(store, manifest.node)
        failed = await _restore_artifacts(plugins, settings, folder, told, manifest.artifacts)
        with in_words("the database"):
            rows = await export(url, settings.database_url(), told)
        staging.unlink()
    return Restored(manifest, rows["jobs"], lost, failed)


def _checked(folder: Path, told: Told) -> Manifest:
    """Read the manifest and every file of the backup."""
    manifest = read_manifest(folder)
    whole = sum(entry.size for entry in entries(folder / FILES))
    done = 0
    for entry in entries(folder / FILES):
        require_digest(folder, entry)
        done += entry.size
        told("checking the backup", done, whole)
    return manifest


def _place_of_mlflow(settings: Settings, folder: Path) -> Path | None:
    """Tell where MLflow's database goes; None where the backup has none."""
    if not (folder / MLFLOW).exists():
        return None
    file = None
    if settings.tracking.plugin == MLFLOW_PLUGIN:
        chosen = MlflowSettings.model_validate(settings.plugins.get(MLFLOW_PLUGIN, {}))
        file = database_file(chosen, settings.data_dir / "plugins" / MLFLOW_PLUGIN)
    if file is None:
        raise NotMoved(
            "the backup has the database of the daemon's own MLflow server, for which these "
            "settings have no place: leave out plugins.mlflow.url, plugins.mlflow."
            "backend_store_uri and tracking.plugin to restore it"
        )
    if file.exists():
        raise NotMoved(f"there is an MLflow database {file} already: move it away first")
    return file


def _require_node(settings: Settings, manifest: Manifest) -> None:
    if settings.node != manifest.node:
        raise NotMoved(
            f"the backup is one of the node {manifest.node!r}, and the settings name "
            f"{settings.node!r}: set node = {manifest.node!r}, whose jobs it has"
        )


async def _require_artifacts(folder: Path, told: Told) -> None:
    source = await opened_folder(folder / OBJECTS)
    if damaged := await _differing(source, folder, told):
        raise NotMoved(
            f"{len(damaged)} artifacts of the backup are not as they were saved, among them "
            f"{damaged[0].key!r}: {damaged[0].why}. Nothing was restored; use another backup"
        )


async def _differing(source: Source, folder: Path, told: Told) -> list[Failure]:
    """List what is missing in a storage, or other than the backup's list says."""
    failed: list[Failure] = []
    whole = sum(entry.size for entry in entries(folder / ARTIFACTS))
    done = 0

    async def _compare(entry: Entry) -> None:
        nonlocal done
        try:
            if await digest_of(source, entry.name) != (entry.size, entry.sha256):
                failed.append(Failure(entry.name, "it is another than when the backup was made"))
        except NotFound:
            failed.append(Failure(entry.name, "it is not there"))
        except Exception as error:  # whatever a plugin does wrong, the others are still compared
            failed.append(Failure(entry.name, reason_of(error)))
        done += entry.size
        told("checking artifacts", done, whole)

    async def _listed() -> AsyncIterator[Entry]:
        for entry in entries(folder / ARTIFACTS):
            yield entry

    await for_each(_listed(), _compare)
    return failed


@contextmanager
def _emptied_on_failure(data_dir: Path) -> Iterator[None]:
    """Hold the data folder, which must be empty; it is again where the restoring fails."""
    try:
        names = {each.name for each in data_dir.iterdir()} if data_dir.exists() else set()
        taken = NotMoved(
            f"the data folder {data_dir} is not empty: choose another with --data-dir, or move it "
            "away"
        )
        if names and LOCK not in names:
            raise taken
        with hold_data_dir(data_dir):  # a daemon that runs there is refused in its own words
            if names - {LOCK}:
                raise taken
            try:
                yield
            except BaseException:
                _empty(data_dir)
                raise
    except DaemonRefuses as refusal:
        raise NotMoved(str(refusal)) from refusal
    except OSError as error:
        raise NotMoved(f"{error.filename or data_dir}: {error.strerror}") from error


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink()


def _copy_files(folder: Path, data_dir: Path, mlflow: Path | None) -> None:
    targets = {STORE: data_dir / STAGING, MLFLOW: mlflow}
    for entry in entries(folder / FILES):
        below = entry.name.removeprefix(f"{DATA}/")
        target = targets.get(entry.name, data_dir / below)
        if target is None:
            continue
        if copy_file(folder / entry.name, target) != (entry.size, entry.sha256):
            raise NotMoved(f"{entry.name} of the backup was changed while it was restored")


async def _move_attempts(
    store: Store, plugins: Plugins, settings: Settings, manifest: Manifest
) -> None:
    """Have the handles of attempts lead to where their folders are now."""
    executors = _executors(plugins, settings)
    async for batch in store.launched_on(manifest.node):
        moved = []
        for attempt in batch:
            executor = executors.get(attempt.executor)
            below = Path("jobs") / attempt.job_id / str(attempt.number)
            if executor is not None and attempt.handle == executor.handle_for(
                attempt.id, manifest.data_dir / below
            ):
                handle = executor.handle_for(attempt.id, settings.data_dir / below)
                moved.append((attempt, handle))
        await store.replace_handles(moved)


def _executors(plugins: Plugins, settings: Settings) -> dict[str, Executor]:
    """Build the executors, which know of their handles also while they are not open."""
    built = {}
    for name in settings.executor.names():
        context = PluginContext(settings.data_dir / "plugins" / name, "http://localhost")
        try:
            built[name] = plugins.executor(name, settings.plugins.get(name, {}), context)
        except (PluginUnknown, PluginMisconfigured) as error:
            raise NotMoved(str(error)) from error
    return built


async def _lose_live(store: Store, node: str) -> list[str]:
    """Note of each job that was under way that its attempt is lost; gives their ids.

    Its script may have ended after the backup, or run still where that was taken: to run it again
    by itself would be to run it twice. The daemon ends the job, and closes its runs.
    """
    lost = []
    for claim in await store.take_over(node):
        if claim.job.state is not JobState.FINISHING:
            outcome = Outcome(Cause.LOST, detail=RESTORED)
            await store.mark_finishing(claim, claim.job.state, outcome)
            lost.append(claim.job.id)
    return lost


async def _restore_artifacts(
    plugins: Plugins, settings: Settings, folder: Path, told: Told, mode: Mode
) -> list[Failure]:
    """Copy the artifacts to the storage, or compare what it has with the backup's list."""
    name = settings.storage.plugin
    if mode == "manifest":
        async with opened_source(plugins, settings, name) as source:
            return await _differing(source, folder, told)
    saved = await opened_folder(folder / OBJECTS)
    async with opened_storage(plugins, settings, name) as storage:
        return (await copy_objects(saved, storage, told)).failed
