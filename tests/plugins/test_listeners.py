"""What the daemon promises to listeners, and that no listener can hurt it."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from runnerd.jobs import Cause, Event, JobState, Outcome
from runnerd.plugins import Failure, Listener, TakeOut, listeners
from runnerd.plugins.installed import Installed, Standing
from runnerd.plugins.listeners import Listeners
from runnerd.testing import FakeListener, ListenerSuite, proves
from runnerd.testing.listeners import ENVIRONMENT, JOB, REGISTRATIONS, event_in

pytestmark = pytest.mark.anyio
FAILURE = Failure(JOB, Outcome(Cause.LOST), "", "it was lost")


class TestFakeListener(ListenerSuite):
    def make_listener(self, folder: Path) -> Listener:
        return FakeListener(sentence="the cat sat on the keyboard")


def installed(name: str) -> Installed:
    return Installed(name, f"runnerd-{name}", "1", "/x", built_in=False)


@asynccontextmanager
async def opened(
    *heard: Listener, history: listeners.History | None = None
) -> AsyncIterator[tuple[Listeners, list[Installed]]]:
    plugins = [installed(f"plugin{number}") for number in range(len(heard))]
    all_of_them = Listeners(zip(plugins, heard, strict=True), history)
    await all_of_them.open()
    try:
        yield all_of_them, plugins
    finally:
        await all_of_them.close()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while True:
            if condition():
                return
            await anyio.sleep(0.005)


@proves("told-in-order")
async def test_events_come_one_at_a_time_and_in_order() -> None:
    fake = FakeListener()
    async with opened(fake) as (all_of_them, (plugin,)):
        for number in range(200):
            all_of_them.job_changed(event_in(JobState.RUNNING, number))
        all_of_them.environment_resolved(ENVIRONMENT)
        all_of_them.model_registered(REGISTRATIONS[0])
        await until(lambda: len(fake.heard) == 202)
    numbers = [told.id for _, told in fake.heard if isinstance(told, Event)]
    assert numbers == list(range(200))
    assert [hook for hook, _ in fake.heard[200:]] == ["environment_resolved", "model_registered"]
    assert fake.closed
    assert (plugin.tally.calls, plugin.tally.failures) == (203, 0)


class Returning(FakeListener):
    """Heard of the third event before."""

    def open(self) -> int:
        return 3


@proves("told-what-was-missed")
async def test_a_listener_that_was_away_is_told_what_it_missed() -> None:
    stored = [event_in(JobState.RUNNING, number) for number in range(1, 11)]
    asked, told = anyio.Event(), anyio.Event()

    async def history(place: int) -> list[Event]:
        asked.set()
        await told.wait()
        return [event for event in stored if event.id > place][:4]

    back, new = Returning(), FakeListener()
    async with opened(back, new, history=history) as (all_of_them, _):
        await asked.wait()
        for number in (10, 11):  # stored and told while the history is read
            all_of_them.job_changed(event_in(JobState.RUNNING, number))
        told.set()
        await until(lambda: len(back.heard) == 8)
    assert [event.id for _, event in back.heard if isinstance(event, Event)] == [*range(4, 12)]
    assert len(new.heard) == 2, "it did not ask for it"


@proves("told-what-is-true")
async def test_a_history_that_can_not_be_read_costs_what_was_missed_alone() -> None:
    async def history(place: int) -> list[Event]:
        raise ConnectionError("the database is away")

    back = Returning()
    async with opened(back, history=history) as (all_of_them, (plugin,)):
        all_of_them.job_changed(event_in(JobState.RUNNING, 11))
        await until(lambda: len(back.heard) == 1)
        assert "the database is away" in plugin.tally.last_failure


class Deaf(Listener):
    """Overrides nothing."""


@proves("only-what-is-overridden")
async def test_what_is_not_overridden_is_not_called() -> None:
    async with opened(Deaf()) as (all_of_them, (plugin,)):
        all_of_them.job_changed(event_in(JobState.RUNNING))
        assert await all_of_them.diagnosis(FAILURE) == "it was lost"
        assert plugin.tally.calls == 0


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), SystemExit(3), KeyboardInterrupt(), StopIteration()]
)
@proves("cut-off-when-raising")
async def test_what_a_listener_raises_is_counted_and_forgotten(error: BaseException) -> None:
    bad, good = FakeListener(error=error, sentence="never said"), FakeListener(sentence="it rained")
    async with opened(bad, good) as (all_of_them, (plugin, other)):
        for _ in range(3):
            all_of_them.job_changed(event_in(JobState.FAILED))
        assert await all_of_them.diagnosis(FAILURE) == "it rained"
        await until(lambda: plugin.tally.failures == 4)
        assert type(error).__name__ in plugin.tally.last_failure
        assert (other.tally.failures, plugin.standing) == (0, Standing.LOADED)


@proves("cut-off-when-hanging", "told-beside-the-work")
async def test_a_listener_that_hangs_is_given_up_until_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "TOLD_SECONDS", 0.1)
    monkeypatch.setattr(listeners, "ASKED_SECONDS", 0.1)
    monkeypatch.setattr(listeners, "CLOSE_SECONDS", 0.2)
    release = threading.Event()
    hung, good = FakeListener(hold=release), FakeListener(sentence="it rained")
    async with opened(hung, good) as (all_of_them, (plugin, _)):
        for _ in range(3):
            all_of_them.job_changed(event_in(JobState.RUNNING))
        await until(lambda: plugin.tally.missed == 2)
        assert "longer than 0.1 seconds" in plugin.tally.last_failure
        assert await all_of_them.diagnosis(FAILURE) == "it rained"
        assert (len(hung.heard), len(good.heard)) == (1, 4)
        release.set()
        await until(lambda: not all_of_them._members[0].is_stuck)
        all_of_them.job_changed(event_in(JobState.COMPLETED))
        await until(lambda: len(hung.heard) == 2)


class Blocking(Listener):
    """Sleeps as no coroutine may."""

    def job_changed(self, event: Event) -> None:
        time.sleep(1.0)


@proves("told-beside-the-work", "any-thread")
async def test_a_listener_that_blocks_does_not_stop_the_loop() -> None:
    async with opened(Blocking()) as (all_of_them, _):
        all_of_them.job_changed(event_in(JobState.RUNNING))
        longest = await longest_stall(lambda: anyio.sleep(0.5))
    assert longest < 0.25


async def longest_stall(work: Callable[[], Awaitable[None]]) -> float:
    """Measure how long the loop did not turn while something goes on."""
    longest, last = 0.0, time.monotonic()

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    ticking = asyncio.create_task(tick())
    await work()
    ticking.cancel()
    return longest


@proves("told-beside-the-work")
async def test_more_than_a_thousand_waiting_events_are_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listeners, "CLOSE_SECONDS", 0.2)
    release = threading.Event()
    fake = FakeListener(hold=release)
    async with opened(fake) as (all_of_them, (plugin,)):
        for number in range(1500):
            all_of_them.job_changed(event_in(JobState.RUNNING, number))
        assert plugin.tally.missed == 500
        release.set()


@proves("taken-out-on-request")
async def test_a_listener_that_asks_for_it_is_taken_out() -> None:
    fake = FakeListener(error=TakeOut("the webhook's secret was revoked"))
    async with opened(fake) as (all_of_them, (plugin,)):
        for _ in range(3):
            all_of_them.job_changed(event_in(JobState.RUNNING))
        await until(lambda: plugin.standing is Standing.OUT)
        all_of_them.job_changed(event_in(JobState.RUNNING))
        assert await all_of_them.diagnosis(FAILURE) == "it was lost"
        assert plugin.why == "the webhook's secret was revoked"
        assert len(fake.heard) == 1


async def test_a_diagnosis_is_put_into_one_line() -> None:
    async with opened(FakeListener(sentence="two\nlines " + "x" * 900)) as (all_of_them, _):
        said = await all_of_them.diagnosis(FAILURE)
    assert said.startswith("two lines x")
    assert len(said) == 500
