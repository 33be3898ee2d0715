"""Observers hear of what is stored, after it is stored, and of nothing else."""

import pytest

from runnerd.jobs import Event, JobState
from runnerd.store import Store
from runnerd.store.transitions import change_state
from runnerd.testing import proves
from tests.store.conftest import specification

pytestmark = pytest.mark.anyio


@proves("told-what-is-true")
async def test_each_stored_line_is_told_once_and_after_its_transaction(store: Store) -> None:
    told: list[Event] = []
    store.observe(told.append)
    job = (await store.submit(specification(), idempotency_key="k")).job
    await store.submit(specification(), idempotency_key="k")
    await store.request_cancel(job.id)
    assert [event.state for event in told] == [JobState.QUEUED, JobState.CANCELLED]
    assert told == await store.events(job.id)


@proves("told-what-is-true")
async def test_what_is_not_stored_is_not_told(store: Store) -> None:
    told: list[Event] = []
    job = (await store.submit(specification())).job
    store.observe(told.append)
    with pytest.raises(RuntimeError):
        await _cancel_and_fail(store, job.id)
    assert told == []
    assert (await store.get_job(job.id)).state is JobState.QUEUED


@proves("told-what-was-missed")
async def test_the_history_of_all_jobs_is_given_from_any_place_on(store: Store) -> None:
    told: list[Event] = []
    store.observe(told.append)
    for _ in range(3):
        job = (await store.submit(specification())).job
        await store.request_cancel(job.id)
    assert await store.events_beyond(told[1].id) == told[2:]
    assert await store.events_beyond(told[1].id, limit=2) == told[2:4]
    assert await store.events_beyond(told[-1].id) == []


async def _cancel_and_fail(store: Store, job_id: str) -> None:
    async with store._write() as connection:
        await change_state(
            connection, job_id, JobState.QUEUED, JobState.CANCELLED, lease=None, kind="cancelled"
        )
        raise RuntimeError("the power is cut")
