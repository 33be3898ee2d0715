"""Submitting, listing and cancelling."""

import sqlite3
from pathlib import Path

import anyio
import pytest

from runnerd.jobs import JobState
from runnerd.store import (
    BadCursor,
    IdempotencyConflict,
    JobNotFound,
    Store,
    StoreAway,
    UnsupportedDatabase,
    WrongState,
)
from tests.offers import offer
from tests.store.conftest import specification

pytestmark = pytest.mark.anyio


async def test_a_submitted_job_is_read_back_whole(store: Store) -> None:
    asked = specification(
        requirements=["scikit-learn"], environment_vars={"A": "1\n$(x)"}, tags={"team": "ä"}
    )
    job = (await store.submit(asked)).job
    assert (await store.get_job(job.id)) == job
    assert job.specification == asked
    assert job.state is JobState.QUEUED
    assert job.created_at.utcoffset() is not None


async def test_a_job_is_durable_before_submit_returns(sqlite_store: Store, tmp_path: Path) -> None:
    job = (await sqlite_store.submit(specification())).job
    with sqlite3.connect(tmp_path / "runnerd.db") as other:
        assert other.execute("SELECT id FROM jobs").fetchall() == [(job.id,)]
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()


async def test_the_writer_syncs_every_commit(sqlite_store: Store) -> None:
    async with sqlite_store._engines.write() as connection:
        level = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one()
    assert level == 2, "synchronous must be FULL"


async def test_the_same_key_and_request_give_the_first_job_again(store: Store) -> None:
    first = await store.submit(specification(), idempotency_key="k")
    again = await store.submit(specification(), idempotency_key="k")
    assert (first.created, again.created) == (True, False)
    assert again.job.id == first.job.id


async def test_the_same_key_at_the_same_moment_makes_one_job(store: Store) -> None:
    made: list[bool] = []

    async def submit() -> None:
        made.append((await store.submit(specification(), idempotency_key="k")).created)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(submit)
    assert sorted(made) == [False] * 7 + [True]


async def test_the_same_key_with_another_request_is_a_conflict(store: Store) -> None:
    await store.submit(specification(), idempotency_key="k")
    with pytest.raises(IdempotencyConflict, match="new key"):
        await store.submit(specification(timeout=7), idempotency_key="k")


async def test_listing_pages_newest_first_without_gap_or_double(store: Store) -> None:
    ids = [(await store.submit(specification())).job.id for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.list_jobs(limit=3, cursor=cursor)
        seen += [job.id for job in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ids[::-1]


async def test_a_list_that_ends_on_a_page_has_no_next_cursor(store: Store) -> None:
    for _ in range(3):
        await store.submit(specification())
    assert (await store.list_jobs(limit=3)).next_cursor is None


async def test_filters(store: Store) -> None:
    a = (await store.submit(specification(experiment_name="a", tags={"k": "1"}))).job
    b = (await store.submit(specification(model_name="b", tags={"k": "2"}))).job
    await store.request_cancel(b.id)

    async def found(**filters: object) -> list[str]:
        return [job.id for job in (await store.list_jobs(**filters)).items]  # type: ignore[arg-type]

    assert await found(experiment_name="a") == [a.id]
    assert await found(model_name="b") == [b.id]
    assert await found(tag=("k", None)) == [b.id, a.id]
    assert await found(tag=("k", "1")) == [a.id]
    assert await found(states={JobState.CANCELLED}) == [b.id]
    assert await found(states=set()) == []


@pytest.mark.parametrize("cursor", ["x", "!!!", "am9iOnh4", "", "ÿ"])
async def test_a_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadCursor, match="next_cursor"):
        await store.list_jobs(cursor=cursor)


async def test_an_unknown_job(store: Store) -> None:
    with pytest.raises(JobNotFound, match="feed"):
        await store.get_job("feed")


async def test_cancelling_a_queued_job_ends_it_once(store: Store) -> None:
    job = (await store.submit(specification())).job
    assert (await store.request_cancel(job.id)).state is JobState.CANCELLED
    assert (await store.request_cancel(job.id)).state is JobState.CANCELLED
    assert [event.kind for event in await store.events(job.id)] == ["submitted", "cancelled"]


async def test_a_running_job_is_asked_once_and_a_completed_one_refuses(store: Store) -> None:
    job = (await store.submit(specification())).job
    claim = await store.claim(offer("here", 1))
    assert claim is not None
    await store.request_cancel(job.id)
    await store.request_cancel(job.id)
    assert await store.cancels_requested() == [job.id]
    kinds = [event.kind for event in await store.events(job.id)]
    assert kinds == ["submitted", "claimed", "cancel_requested"]

    other = (await store.submit(specification())).job
    held = await store.claim(offer("here", 2))
    assert held is not None
    await store.finish(held, JobState.PREPARING, JobState.FAILED, error="x")
    with pytest.raises(WrongState, match="failed"):
        await store.request_cancel(other.id)


async def test_changes_wake_a_listener(store: Store) -> None:
    with store.changes() as changes:
        assert not await changes.wait(0)
        await store.submit(specification())
        assert await changes.wait(0)
        assert not await changes.wait(0)


async def test_a_database_that_is_locked_for_too_long_is_away(
    sqlite_store: Store, tmp_path: Path
) -> None:
    store = sqlite_store
    async with store._engines.write() as connection:
        await connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    other = sqlite3.connect(tmp_path / "runnerd.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(StoreAway, match="locked"):
            await store.submit(specification())
    finally:
        other.close()
    assert (await store.submit(specification())).created, "it must recover by itself"


@pytest.mark.parametrize(
    "url", ["nonsense", "mysql://h/d", "postgresql://h", "sqlite://", "postgresql+psycopg://h/d"]
)
def test_other_databases_are_refused_in_words(url: str) -> None:
    with pytest.raises(UnsupportedDatabase, match="sqlite:////folder"):
        Store(url)
