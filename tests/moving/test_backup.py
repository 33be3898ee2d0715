"""What a backup has in it, and what a restore refuses: a small house, without a daemon."""

import json
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from runnerd.executors.subprocess.handle import handle_of
from runnerd.holding import hold_data_dir
from runnerd.jobs import Capacity, JobSpecification, JobState
from runnerd.moving import (
    Failure,
    Manifest,
    NotMoved,
    Restored,
    restore_backup,
    take_backup,
)
from runnerd.moving.manifest import ARTIFACTS, FILES, MANIFEST, entries, file_digest
from runnerd.plugins import PluginContext
from runnerd.plugins.loader import Plugins, load_plugins
from runnerd.plugins.local import LocalStorage
from runnerd.plugins.records import AttemptFolder
from runnerd.settings import Settings
from runnerd.store import Store
from runnerd.testing.storages.ground import read, stream
from tests.offers import offer
from tests.s3 import S3Server, make_bucket

pytestmark = pytest.mark.anyio
SECRET = "rnj_the-jobs-own-token"


def quiet(step: str, done: int, whole: int) -> None:
    """Watch nothing."""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins()


@pytest.fixture
def old(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "old")


@pytest.fixture
def new(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "new")


@dataclass(frozen=True)
class Move:
    """From one data folder by way of a backup to another."""

    store: Store
    plugins: Plugins
    old: Settings
    new: Settings
    folder: Path

    async def save(self, settings: Settings | None = None) -> Manifest:
        return await take_backup(self.plugins, settings or self.old, self.folder, quiet)

    async def restore(self, settings: Settings | None = None) -> Restored:
        return await restore_backup(self.plugins, settings or self.new, self.folder, quiet)


@pytest.fixture
def move(house: Store, plugins: Plugins, old: Settings, new: Settings, tmp_path: Path) -> Move:
    return Move(house, plugins, old, new, tmp_path / "backup")


@pytest.fixture
async def house(old: Settings) -> AsyncIterator[Store]:
    """A job that has ended with a model, one that runs, one that waits; a daemon that is there."""
    data_dir = old.data_dir
    data_dir.mkdir()
    (data_dir / "node.id").write_text("0123")
    plans = data_dir / "environments" / "plans" / "requests"
    plans.mkdir(parents=True)
    (plans / "r.json").write_text("{}")
    mlflow = data_dir / "plugins" / "mlflow"
    mlflow.mkdir(parents=True)
    with closing(sqlite3.connect(mlflow / "mlflow.db")) as database:
        database.execute("CREATE TABLE runs AS SELECT 'r1' AS run_uuid")
        database.commit()
    async with Store(old.database_url()) as store:
        await store.take_seat("local", "http://x", "0123", Capacity(2, None, None, None))
        for number in range(3):
            await store.submit(specification(), idempotency_key=str(number))
        for state in (JobState.FINISHING, JobState.RUNNING):
            claim = await store.claim(offer("local", 2))
            assert claim is not None
            place = AttemptFolder(claim.attempt.id, data_dir / "jobs" / claim.job.id / "1")
            (place.path / "work").mkdir(parents=True)
            place.output.write_text(f"{state}\n")
            place.request.write_text(SECRET)
            (place.work / "train.py").write_text("print()")
            (place.path / "link").symlink_to("/etc/passwd")
            await store.note_launch(claim, handle_of(place), "k" * 32)
            await store.mark_running(claim, 1_700_000_000.0)
            if state is JobState.FINISHING:
                await store.note_run(claim.job.id, "r1")
                await store.note_model(claim.job.id, "m-1", "r1")
                await store.finish(
                    claim, JobState.RUNNING, JobState.FAILED, run_id="r1", model_version="1"
                )
        storage = await local_of(old)
        await storage.put("artifacts/1/models/m-1/artifacts/MLmodel", stream(b"model"))
        yield store


def specification() -> JobSpecification:
    return JobSpecification(
        script_name="t.py", script="print()", experiment_name="e", model_name="m"
    )


async def local_of(settings: Settings) -> LocalStorage:
    storage = LocalStorage(settings.data_dir / "plugins" / "local")
    await storage.open()
    return storage


async def test_everything_is_in_it_and_for_its_owner_alone(move: Move) -> None:
    mask = os.umask(0o077)
    try:
        manifest = await move.save()
    finally:
        os.umask(mask)
    assert (manifest.artifacts, manifest.objects, manifest.objects_size) == ("copy", 1, 5)
    assert (manifest.missing, manifest.notes, manifest.node) == ([], [], "local")
    names = {entry.name.rpartition("/")[2] for entry in entries(move.folder / FILES)}
    assert names == {"store.db", "mlflow.db", "node.id", "r.json", "output.log"}
    files = [file for file in move.folder.rglob("*") if file.is_file()]
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]
    assert not [
        path for path in (move.folder, *move.folder.rglob("*")) if path.stat().st_mode & 0o077
    ]


async def test_it_is_restored_elsewhere(move: Move) -> None:
    await move.save()
    await move.store.close()
    shutil.rmtree(move.old.data_dir)

    restored = await move.restore()

    assert (restored.jobs, restored.failed) == (3, [])
    assert (move.new.data_dir / "node.id").read_text() == "0123"
    with closing(sqlite3.connect(move.new.data_dir / "plugins/mlflow/mlflow.db")) as database:
        assert database.execute("SELECT run_uuid FROM runs").fetchall() == [("r1",)]
    storage = await local_of(move.new)
    assert await read(storage, "artifacts/1/models/m-1/artifacts/MLmodel") == b"model"
    executor = move.plugins.executor("subprocess", {}, context_of(move.new))
    async with Store(move.new.database_url()) as store:
        await store.take_seat("local", "http://y", "0123", Capacity(2, None, None, None))
        queued, running, ended = (await store.list_jobs()).items
        assert [job.state for job in (queued, running, ended)] == ["queued", "finishing", "failed"]
        assert restored.lost == [running.id]
        lost = (await store.ends(running.id))[1]
        assert (lost.data["cause"], "backup" in lost.reason) == ("lost", True)
        for job, output in ((running, b"running\n"), (ended, b"finishing\n")):
            (attempt,) = await store.attempts(job.id)
            assert attempt.handle is not None
            assert await executor.read_log(attempt.handle, 0, 100) == output


async def test_artifacts_may_stay_where_they_are(
    move: Move, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    bucket = {"bucket": make_bucket(s3.url), "endpoint_url": s3.url, "region": "us-east-1"}
    on_s3 = {"storage": {"plugin": "s3"}, "plugins": {"s3": bucket}}
    source = Settings.model_validate({"data_dir": move.old.data_dir, **on_s3})
    target = Settings.model_validate({"data_dir": move.new.data_dir, **on_s3})
    storage = move.plugins.storage("s3", bucket, context_of(move.old))
    await storage.open()
    waiting = LocalStorage(move.old.data_dir / "undelivered")
    await waiting.open()
    await waiting.put("artifacts/1/models/m-1/artifacts/MLmodel", stream(b"waits"))
    for name in ("same", "changed", "deleted"):
        await storage.put(f"artifacts/1/r1/{name}", stream(name.encode()))

    manifest = await move.save(source)
    await storage.put("artifacts/1/r1/changed", stream(b"CHANGED"))
    await storage.delete("artifacts/1/r1/deleted")
    restored = await move.restore(target)
    await storage.close()

    assert (manifest.artifacts, manifest.objects, manifest.missing) == ("manifest", 4, [])
    assert not (move.folder / "artifacts").exists()
    assert sorted(restored.failed, key=lambda each: each.key) == [
        Failure("artifacts/1/r1/changed", "it is another than when the backup was made"),
        Failure("artifacts/1/r1/deleted", "it is not there"),
    ]
    kept = LocalStorage(move.new.data_dir / "undelivered")
    assert await read(kept, "artifacts/1/models/m-1/artifacts/MLmodel") == b"waits"


async def test_a_model_whose_artifacts_are_gone_is_named(move: Move) -> None:
    await (await local_of(move.old)).delete("artifacts/1/models")
    manifest = await move.save()
    ended = (await move.store.list_jobs()).items[-1]
    assert [each.key for each in manifest.missing] == [f"the model of job {ended.id}"]


async def test_an_mlflow_server_elsewhere_is_named(move: Move) -> None:
    attached = Settings.model_validate(
        {"data_dir": move.old.data_dir, "plugins": {"mlflow": {"url": "http://mlflow.example.org"}}}
    )
    manifest = await move.save(attached)
    assert "http://mlflow.example.org" in manifest.notes[0]
    assert not (move.folder / "mlflow.db").exists()


async def test_a_folder_that_is_not_empty_is_refused(move: Move) -> None:
    with pytest.raises(NotMoved, match="old is not empty: name a new folder"):
        await replace(move, folder=move.old.data_dir).save()


def context_of(settings: Settings) -> PluginContext:
    return PluginContext(settings.data_dir / "plugins" / "x", "http://localhost")


def spoil(folder: Path, name: str) -> None:
    with (folder / name).open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"!!")


def rewrite(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), "no whole backup: it has no backup.json"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "is no manifest of a backup"),
        (lambda folder: rewrite(folder, format=2), "has format 2.* knows formats up to 1"),
        (lambda folder: rewrite(folder, node="gpu-1"), "set node = 'gpu-1'"),
        (lambda folder: spoil(folder, "store.db"), "store.db of the backup is not as it was made"),
        (lambda folder: spoil(folder, "files.jsonl"), "files.jsonl of the backup is not as"),
        (lambda folder: (folder / "mlflow.db").unlink(), "the backup lacks mlflow.db"),
        (
            lambda folder: spoil(
                folder, "artifacts/objects/artifacts/1/models/m-1/artifacts/MLmodel"
            ),
            "1 artifacts of the backup are not as they were saved, among them 'artifacts/1/models",
        ),
    ],
)
async def test_a_backup_that_is_not_whole_restores_nothing(
    move: Move, harm: Callable[[Path], None], words: str
) -> None:
    await move.save()
    harm(move.folder)
    with pytest.raises(NotMoved, match=words):
        await move.restore()
    assert not move.new.data_dir.exists()


async def test_a_schema_of_a_later_runnerd_restores_nothing(move: Move) -> None:
    await move.save()
    with closing(sqlite3.connect(move.folder / "store.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'later'")
        database.commit()
    relist(move.folder)
    with pytest.raises(NotMoved, match=r"revision later.* install the runnerd that wrote"):
        await move.restore()
    assert {each.name for each in move.new.data_dir.iterdir()} <= {"daemon.lock"}


def relist(folder: Path) -> None:
    """Have the lists say what the files are now."""
    lines = [asdict(entry) for entry in entries(folder / FILES)]
    for line in lines:
        line["sha256"] = file_digest(folder / str(line["name"]))
    (folder / FILES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    digests = {name: file_digest(folder / name) for name in (FILES, ARTIFACTS)}
    rewrite(folder, digests=digests)


async def test_a_name_that_leads_out_of_the_folder_is_refused(move: Move) -> None:
    await move.save()
    (move.folder / "outside").write_text("x")
    with (move.folder / FILES).open("a") as lines:
        lines.write(json.dumps({"name": "data/../../outside", "size": 1, "sha256": "x"}) + "\n")
    rewrite(move.folder, digests={FILES: file_digest(move.folder / FILES)})
    with pytest.raises(NotMoved, match="lies outside of it"):
        await move.restore()


async def test_a_data_folder_in_use_or_with_something_in_it_is_left_alone(move: Move) -> None:
    await move.save()
    with (
        hold_data_dir(move.new.data_dir),
        pytest.raises(NotMoved, match=r"another runnerd .* uses the data folder"),
    ):
        await move.restore()
    (move.new.data_dir / "mine").write_text("x")
    with pytest.raises(NotMoved, match="new is not empty: choose another"):
        await move.restore()
    assert {each.name for each in move.new.data_dir.iterdir()} == {"daemon.lock", "mine"}


async def test_a_database_with_something_in_it_restores_nothing(move: Move, tmp_path: Path) -> None:
    await move.save()
    taken = f"sqlite:///{tmp_path / 'taken.db'}"
    async with Store(taken) as store:
        await store.create_token("alice")
    chosen = Settings.model_validate({"data_dir": move.new.data_dir, "database": {"url": taken}})
    with pytest.raises(NotMoved, match="the database: the target is not empty, its table 'tokens'"):
        await move.restore(chosen)
    assert {each.name for each in move.new.data_dir.iterdir()} <= {"daemon.lock"}
