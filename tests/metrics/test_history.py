"""Jobs' histories as they are counted, against a real store."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from runnerd.jobs import Cause, Handle, JobState, Outcome
from runnerd.metrics import History, Metrics
from runnerd.store import Claim, Store
from tests.metrics.scrape import text_of, value
from tests.offers import offer
from tests.store.conftest import specification

pytestmark = pytest.mark.anyio


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def store(tmp_path: Path, metrics: Metrics) -> AsyncIterator[Store]:
    async with Store(f"sqlite:///{tmp_path / 'runnerd.db'}") as opened:
        opened.observe(History(metrics, ["default"]).count)
        yield opened


async def claimed(store: Store) -> Claim:
    claim = await store.claim(offer())
    assert claim is not None
    return claim


async def started(store: Store, *, built: bool) -> Claim:
    claim = await claimed(store)
    await store.note_launch(claim, Handle(1, "state"), "key")
    if built:
        await store.note_event(claim, "building_environment")
    await store.mark_running(claim, time.time())
    return claim


async def ended(store: Store, claim: Claim, outcome: Outcome, state: JobState) -> None:
    now = time.time()
    timed = replace(outcome, script_started_at=now - 20, ended_at=now)
    await store.mark_finishing(claim, JobState.RUNNING, timed)
    await store.finish(claim, JobState.FINISHING, state)


async def test_a_job_is_counted_at_each_step(store: Store, metrics: Metrics) -> None:
    await store.submit(specification())
    await anyio.sleep(0.02)
    claim = await started(store, built=True)
    await ended(store, claim, Outcome(Cause.EXITED, exit_code=0), JobState.COMPLETED)
    text = text_of(metrics.registry)
    assert value(text, "runnerd_jobs_submitted_total") == 1
    assert value(text, "runnerd_job_wait_seconds_count", queue="default") == 1
    assert 0.02 <= value(text, "runnerd_job_wait_seconds_sum", queue="default") < 10
    assert value(text, "runnerd_job_launch_seconds_count", environment="built") == 1
    assert value(text, "runnerd_attempts_ended_total", cause="succeeded") == 1
    assert value(text, "runnerd_attempts_ended_total", cause="exited") == 0
    assert value(text, "runnerd_script_seconds_sum") == pytest.approx(20)
    assert value(text, "runnerd_jobs_ended_total", state="completed") == 1


async def test_failures_are_told_apart_by_their_cause(store: Store, metrics: Metrics) -> None:
    outcomes = [
        Outcome(Cause.EXITED, exit_code=1),
        Outcome(Cause.OUT_OF_MEMORY, signal=9),
        Outcome(Cause.TIMEOUT, signal=15),
    ]
    for outcome in outcomes:
        await store.submit(specification())
        claim = await started(store, built=False)
        await ended(store, claim, outcome, JobState.FAILED)
    text = text_of(metrics.registry)
    for cause in ("exited", "out_of_memory", "timeout"):
        assert value(text, "runnerd_attempts_ended_total", cause=cause) == 1
    assert value(text, "runnerd_attempts_ended_total", cause="succeeded") == 0
    assert value(text, "runnerd_job_launch_seconds_count", environment="kept") == 3
    assert value(text, "runnerd_jobs_ended_total", state="failed") == 3


async def test_a_retry_waits_since_it_was_asked_for(store: Store, metrics: Metrics) -> None:
    submitted = await store.submit(specification())
    claim = await started(store, built=False)
    await anyio.sleep(0.2)  # what the job spent before does not count
    await ended(store, claim, Outcome(Cause.EXITED, exit_code=1), JobState.FAILED)
    await store.request_retry(submitted.job.id)
    again = await claimed(store)
    [*_, event] = await store.events(submitted.job.id)
    assert event.kind == "claimed"
    assert event.data["waited_seconds"] < 0.2
    await store.requeue(
        again, JobState.PREPARING, Outcome(Cause.LOST), error="the runner vanished", delay=0
    )
    text = text_of(metrics.registry)
    assert value(text, "runnerd_attempts_retried_total") == 1
    assert value(text, "runnerd_attempts_ended_total", cause="lost") == 1


async def test_a_queue_that_is_not_in_the_settings_gets_no_label(
    store: Store, metrics: Metrics
) -> None:
    await store.submit(specification(queue="bygone"))
    await claimed(store)
    text = text_of(metrics.registry)
    assert value(text, "runnerd_job_wait_seconds_count", queue="other") == 1
    assert "bygone" not in text


async def test_a_parked_job_is_counted_as_failed(store: Store, metrics: Metrics) -> None:
    await store.submit(specification())
    claim = await claimed(store)
    await store.mark_finishing(claim, JobState.PREPARING, Outcome(Cause.INDEX_AWAY))
    await store.finish(claim, JobState.FINISHING, JobState.FAILED, parked=True)
    text = text_of(metrics.registry)
    assert value(text, "runnerd_jobs_ended_total", state="failed") == 1
    assert value(text, "runnerd_script_seconds_count") == 0
    assert await store.count_parked() == 1
