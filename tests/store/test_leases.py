"""Claims, fencing and the state machine."""

import pytest

from runnerd.jobs import (
    TERMINAL_STATES,
    Cause,
    Handle,
    JobState,
    Outcome,
)
from runnerd.store import Claim, StaleLease, Store, WrongState
from tests.offers import offer
from tests.store.conftest import specification

pytestmark = pytest.mark.anyio


async def claimed(store: Store) -> Claim:
    await store.submit(specification())
    claim = await store.claim(offer("here", 100))
    assert claim is not None
    return claim


async def test_the_oldest_is_claimed_first_and_slots_are_counted_from_rows(store: Store) -> None:
    ids = [(await store.submit(specification())).job.id for _ in range(3)]
    first = await store.claim(offer("here", 2))
    second = await store.claim(offer("here", 2))
    assert first is not None and second is not None
    assert [first.job.id, second.job.id] == ids[:2]
    assert await store.claim(offer("here", 2)) is None
    await store.finish(first, JobState.PREPARING, JobState.FAILED, error="x")
    third = await store.claim(offer("here", 2))
    assert third is not None and third.job.id == ids[2]


async def test_looking_for_work_in_vain_wakes_nobody(store: Store) -> None:
    await claimed(store)
    with store.changes() as changes:
        assert await store.claim(offer("here", 1)) is None
        assert await store.claim(offer("here", 2)) is None
        assert not await changes.wait(0)


async def test_a_job_from_claim_to_end(store: Store) -> None:
    claim = await claimed(store)
    await store.note_launch(claim, Handle(1, "state"), "key")
    await store.mark_running(claim, 1_700_000_000.5)
    outcome = Outcome(Cause.EXITED, exit_code=0, ended_at=1_700_000_001.0)
    await store.mark_finishing(claim, JobState.RUNNING, outcome)
    await store.finish(
        claim,
        JobState.FINISHING,
        JobState.COMPLETED,
        run_id="r",
        model_version="3",
        warnings=["w"],
    )
    job = await store.get_job(claim.job.id)
    assert (job.state, job.run_id, job.model_version) == (JobState.COMPLETED, "r", "3")
    assert job.warnings == ("w",)
    assert job.environment_key == "key"
    attempt = (await store.attempts(job.id))[0]
    assert attempt.handle == Handle(1, "state")
    assert attempt.script_started_at is not None and attempt.ended_at is not None
    assert (attempt.ended_at - attempt.script_started_at).total_seconds() == 0.5
    events = await store.events(job.id)
    assert [event.kind for event in events] == [
        "submitted",
        "claimed",
        "environment_resolved",
        "started",
        "ended",
        "completed",
    ]
    assert [event.id for event in events] == sorted(event.id for event in events)
    assert events[4].data["exit_code"] == 0


async def test_a_stale_lease_changes_nothing(store: Store) -> None:
    stale = await claimed(store)
    (fresh,) = await store.take_over("here")
    for late in (
        store.note_launch(stale, Handle(1, "x"), "key"),
        store.mark_running(stale, 1.0),
        store.note_event(stale, "late"),
        store.finish(stale, JobState.PREPARING, JobState.FAILED, error="late"),
        store.get_claim(stale),
    ):
        with pytest.raises(StaleLease):
            await late
    job = await store.get_job(stale.job.id)
    assert (job.state, job.error, job.environment_key) == (JobState.PREPARING, None, None)
    assert [event.kind for event in await store.events(job.id)] == ["submitted", "claimed"]
    await store.finish(fresh, JobState.PREPARING, JobState.FAILED, error="mine")


async def test_taking_over_is_for_the_own_node(store: Store) -> None:
    claim = await claimed(store)
    assert await store.take_over("elsewhere") == []
    assert [taken.job.id for taken in await store.take_over("here")] == [claim.job.id]


async def test_terminal_is_final(store: Store) -> None:
    claim = await claimed(store)
    await store.finish(claim, JobState.PREPARING, JobState.FAILED, error="first")
    for state in TERMINAL_STATES:
        with pytest.raises(StaleLease):
            await store.finish(claim, JobState.PREPARING, JobState.FAILED, error="second")
        with pytest.raises(WrongState):
            await store.finish(claim, state, JobState.COMPLETED)
    assert (await store.get_job(claim.job.id)).error == "first"


async def test_an_arrow_that_does_not_exist_is_refused(store: Store) -> None:
    claim = await claimed(store)
    with pytest.raises(WrongState, match="preparing can't become completed"):
        await store.finish(claim, JobState.PREPARING, JobState.COMPLETED)


async def test_a_failed_transaction_leaves_no_event(store: Store) -> None:
    claim = await claimed(store)
    before = await store.events(claim.job.id)
    with pytest.raises(StaleLease):
        await store.mark_finishing(claim, JobState.RUNNING, Outcome(Cause.EXITED, 0))
    assert await store.events(claim.job.id) == before


async def lost(store: Store, claim: Claim, delay: float) -> None:
    await store.note_launch(claim, Handle(1, "x"), "key")
    await store.note_run(claim.job.id, f"run-{claim.attempt.number}")
    await store.requeue(
        claim, JobState.PREPARING, Outcome(Cause.LOST), error="vanished", delay=delay
    )


async def test_a_requeued_job_is_claimed_again_when_its_time_has_come(store: Store) -> None:
    first = await claimed(store)
    await lost(store, first, 3600)
    assert await store.claim(offer("here", 1)) is None
    waiting = await store.get_job(first.job.id)
    assert (waiting.state, waiting.retries, waiting.run_id) == (JobState.QUEUED, 1, None)

    second = await claimed(store)
    await lost(store, second, -1)
    again = await store.claim(offer("here", 1))
    assert again is not None
    assert (again.job.id, again.attempt.number) == (second.job.id, 2)
    await store.note_run(again.job.id, "run-2")
    makings = await store.makings(again.job.id)
    assert [run.run_id for run in makings.of_attempt(2).runs] == ["run-2"]
    kinds = [event.kind for event in await store.events(again.job.id)]
    assert kinds[-3:] == ["ended", "retrying", "claimed"]
    with pytest.raises(StaleLease):
        await store.note_event(second, "late")


async def test_a_retry_by_hand_begins_anew(store: Store) -> None:
    claim = await claimed(store)
    with pytest.raises(WrongState, match="preparing"):
        await store.request_retry(claim.job.id)
    await store.finish(
        claim, JobState.PREPARING, JobState.FAILED, error="x", run_id="r", warnings=["w"]
    )
    job = await store.request_retry(claim.job.id)
    assert (job.state, job.error, job.run_id, job.warnings) == (JobState.QUEUED, None, None, ())
    assert job.completed_at is None
    again = await store.claim(offer("here", 1))
    assert again is not None and again.attempt.number == 2
