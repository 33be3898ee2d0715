"""A database copied to another: all of it, or nothing."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from anyio import to_thread
from sqlalchemy import Connection, Table, insert, select, text

from runnerd.jobs import Capacity, Cause, Handle, JobState, Outcome
from runnerd.store import NotCopied, Store, copying, migrations
from runnerd.store.copying import copy_database, export
from runnerd.store.engine import run_blocking
from runnerd.store.tables import metadata
from tests.offers import offer
from tests.postgres import PASSWORD, PostgresServer
from tests.store.conftest import specification

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]
Answer = TypeVar("Answer")
TOKENS = copying.BATCH + 3


@pytest.fixture
def target_url(tmp_path: Path, postgres: PostgresServer, url: str) -> str:
    """An empty database of the kind that the source is not."""
    if url.startswith("sqlite"):
        return postgres.make_database()
    return f"sqlite:///{tmp_path / 'target.db'}"


def beside(url: str, work: Callable[[Connection], Answer]) -> Answer:
    """Work on a database in a thread, where no event loop runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run_blocking, url, work).result(timeout=30)


def quiet(step: str, done: int, whole: int) -> None:
    """Watch nothing."""


async def fill(url: str) -> None:
    """Put something into every table."""
    async with Store(url) as store:
        seat = await store.take_seat("here", "http://x", "place", Capacity(2, 1.5, 2**40, (0, 1)))
        tags = {"équipe": "α", "Team": "", "a b": "c", "team": "é", "_": "z"}
        await store.submit(specification(tags=tags), idempotency_key="once")
        await store.submit(specification(script="print('ü 🦋')"), idempotency_key="twice")
        claim = await store.claim(offer("here", 2, gpus=(0, 1)))
        assert claim is not None
        await store.note_launch(claim, Handle(1, '{"folder": "/x"}'), "k" * 32)
        await store.mark_running(claim, 1_700_000_000.123456)
        await store.note_run(claim.job.id, "run")
        await store.note_model(claim.job.id, "m-1", "run")
        await store.note_version(claim.job.id, "forest", "1")
        outcome = Outcome(Cause.EXITED, 0, None, "as it was", 1.5, 1_700_000_001.25)
        await store.mark_finishing(claim, JobState.RUNNING, outcome)
        await store.leave_seat(seat)
    beside(url, _many_tokens)
    beside(url, lambda connection: _release(connection, claim.job.id))


def _release(connection: Connection, job_id: str) -> None:
    released = metadata.tables["released_attempts"]
    connection.execute(insert(released).values(job_id=job_id, number=1, place="place"))
    connection.commit()


def _many_tokens(connection: Connection) -> None:
    tokens = metadata.tables["tokens"]
    moment = text("CURRENT_TIMESTAMP")
    rows = [{"name": f"token-{n}", "secret_digest": f"{n:064}"} for n in range(TOKENS)]
    connection.execute(insert(tokens).values(created_at=moment), rows)
    connection.commit()


def rows_of(url: str, table: Table) -> list[tuple[object, ...]]:
    def _read(connection: Connection) -> list[tuple[object, ...]]:
        return sorted((tuple(row) for row in connection.execute(select(table))), key=repr)

    return beside(url, _read)


async def test_every_row_of_every_table_is_copied(url: str, target_url: str) -> None:
    await fill(url)
    told: list[tuple[str, int, int]] = []

    copied = await copy_database(url, target_url, lambda *step: told.append(step))

    assert copied.keys() == metadata.tables.keys()
    assert all(copied.values()), copied
    assert copied["tokens"] == TOKENS
    for name, table in metadata.tables.items():
        assert rows_of(target_url, table) == rows_of(url, table), name
    assert ("copying tokens", copying.BATCH, TOKENS) in told
    assert ("comparing tokens", TOKENS, TOKENS) in told


async def test_work_goes_on_in_the_copy(url: str, target_url: str) -> None:
    await fill(url)
    async with Store(url) as store:
        token = await store.create_token("alice")
    await copy_database(url, target_url, quiet)

    async with Store(target_url) as store:
        again = await store.submit(specification(script="print('ü 🦋')"), idempotency_key="twice")
        assert not again.created
        identity = await store.identify(token.secret)
        assert identity is not None and identity.name == "alice"
        (claim,) = await store.take_over("here")
        assert claim.job.state is JobState.FINISHING
        await store.finish(claim, JobState.FINISHING, JobState.COMPLETED)
        await store.submit(specification())  # takes numbers in the tables that count
        await store.create_token("bob")
        await store.note_run(claim.job.id, "another")
        assert [job.state for job in (await store.list_jobs()).items] == [
            JobState.QUEUED,
            JobState.QUEUED,
            JobState.COMPLETED,
        ]


async def test_a_number_that_was_given_is_never_given_again(url: str, target_url: str) -> None:
    await fill(url)
    last = rows_of(url, metadata.tables["events"])[-1]
    beside(url, lambda connection: _forget(connection, "events"))

    await copy_database(url, target_url, quiet)

    async with Store(target_url) as store:
        submitted = await store.submit(specification())
        (event,) = await store.events(submitted.job.id)
    assert isinstance(last[0], int)
    assert event.id > last[0]


def _forget(connection: Connection, table: str) -> None:
    connection.execute(metadata.tables[table].delete())
    connection.commit()


async def test_what_postgres_can_not_hold_is_replaced(
    sqlite_url: str, postgres: PostgresServer
) -> None:
    async with Store(sqlite_url) as store:
        await store.submit(specification())
        claim = await store.claim(offer())
        assert claim is not None
        await store.finish(claim, claim.job.state, JobState.FAILED, error="a\0b")
    target = postgres.make_database()
    await copy_database(sqlite_url, target, quiet)
    async with Store(target) as store:
        assert (await store.get_job(claim.job.id)).error == "a\N{REPLACEMENT CHARACTER}b"


async def test_a_source_that_a_daemon_uses_is_refused(url: str, target_url: str) -> None:
    async with Store(url) as store:
        await store.take_seat("gpu-1", "http://here:1", "place", Capacity(1, None, None, None))
        with pytest.raises(NotCopied, match=r"node 'gpu-1' at http://here:1.*stop it"):
            await copy_database(url, target_url, quiet)
    assert not rows_of(target_url, metadata.tables["nodes"])


async def test_a_running_daemon_writes_on_while_its_database_is_exported(
    url: str, tmp_path: Path
) -> None:
    await fill(url)
    async with Store(url) as store:
        await store.take_seat("here", "http://x", "place", Capacity(1, None, None, None))
        sizes: list[int] = []

        def told(step: str, done: int, whole: int) -> None:
            if step == "copying jobs":
                beside(url, _many_more)
            if step == "comparing tokens":
                sizes.append(whole)

        copied = await export(url, f"sqlite:///{tmp_path / 'export.db'}", told)
        assert len(await store.list_tokens()) == TOKENS + 1
    assert copied["tokens"] == TOKENS
    assert set(sizes) == {TOKENS}


def _many_more(connection: Connection) -> None:
    tokens = metadata.tables["tokens"]
    values = {"name": "late", "secret_digest": "late", "created_at": text("CURRENT_TIMESTAMP")}
    connection.execute(insert(tokens).values(values))
    connection.commit()


async def test_a_target_that_holds_anything_is_refused_and_stays(url: str, target_url: str) -> None:
    await fill(url)
    async with Store(target_url) as store:
        await store.create_token("there")
    with pytest.raises(NotCopied, match=r"not empty, its table 'tokens' has 1 row"):
        await copy_database(url, target_url, quiet)
    assert len(rows_of(target_url, metadata.tables["tokens"])) == 1
    assert not rows_of(target_url, metadata.tables["jobs"])


async def test_tables_of_somebody_else_are_refused(sqlite_url: str, tmp_path: Path) -> None:
    await fill(sqlite_url)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE jobs (id)")
    connection.close()
    with pytest.raises(NotCopied, match="the target: it has a table 'jobs' that is not runnerd's"):
        await copy_database(sqlite_url, f"sqlite:///{tmp_path / 'other.db'}", quiet)


async def test_a_row_that_comes_back_changed_leaves_nothing_in_the_target(
    url: str, target_url: str
) -> None:
    """A trigger changes it on its way: no database does so by itself."""
    await fill(url)
    await to_thread.run_sync(migrations.upgrade, target_url)
    beside(target_url, _spoil)
    with pytest.raises(NotCopied, match=r"'tokens' came back changed: id 7$"):
        await copy_database(url, target_url, quiet)
    assert {name for name, table in metadata.tables.items() if rows_of(target_url, table)} == set()


def _spoil(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN NEW.name := 'x'; RETURN NEW; END $$"
            )
        )
        when = "BEFORE INSERT ON tokens FOR EACH ROW WHEN (NEW.id = 7) EXECUTE FUNCTION spoil()"
    else:
        when = (
            "AFTER INSERT ON tokens WHEN NEW.id = 7 "
            "BEGIN UPDATE tokens SET name = 'x' WHERE id = 7; END"
        )
    connection.execute(text(f"CREATE TRIGGER spoiling {when}"))
    connection.commit()


async def test_a_row_that_does_not_fit_leaves_nothing_in_the_target(
    sqlite_url: str, postgres: PostgresServer
) -> None:
    async with Store(sqlite_url) as store:
        await store.submit(specification())
        await store.create_token("n" * 300)
    target = postgres.make_database()
    with pytest.raises(NotCopied, match="'tokens' does not fit into the target: value too long"):
        await copy_database(sqlite_url, target, quiet)
    assert not rows_of(target, metadata.tables["jobs"])


async def test_a_source_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = tmp_path / "missing.db"
    with pytest.raises(NotCopied, match=r"the source: there is no file .*missing\.db"):
        await copy_database(f"sqlite:///{missing}", f"sqlite:///{tmp_path / 'new.db'}", quiet)
    assert list(tmp_path.iterdir()) == []


async def test_schemas_must_be_the_codes_own(sqlite_url: str, tmp_path: Path) -> None:
    await fill(sqlite_url)
    target = f"sqlite:///{tmp_path / 'new.db'}"
    for revision, words in (("0001", "runnerd db upgrade"), ("later", "revision later")):
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        connection.close()
        with pytest.raises(NotCopied, match=rf"the source: .*{words}"):
            await copy_database(sqlite_url, target, quiet)


async def test_no_message_has_the_password(postgres: PostgresServer, sqlite_url: str) -> None:
    await fill(sqlite_url)
    away = postgres.url("no_such_database")
    with pytest.raises(NotCopied, match=r"the target: .*no_such_database") as refusal:
        await copy_database(sqlite_url, away, quiet)
    assert PASSWORD not in str(refusal.value)
