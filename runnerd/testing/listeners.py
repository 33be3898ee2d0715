"""The conformance suite of listeners, and a listener whose every failure can be arranged."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from runnerd.jobs import Cause, Event, JobState, Outcome, Resources
from runnerd.plugins import ExecutorRequest, Failure, Listener, Registration, ResolvedEnvironment
from runnerd.testing.rules import proves

TOLD_SECONDS = 10.0
ASKED_SECONDS = 5.0
JOB = "0123456789abcdef" * 2
ENVIRONMENT = ResolvedEnvironment(JOB, "0" * 16, "3.11.7", "scikit-learn==1.7.0\n")
REGISTRATIONS = (Registration("model", "1", "run", JOB), Registration("ünï model", "2", None, None))
OUTCOMES = (
    Outcome(Cause.EXITED, exit_code=1),
    Outcome(Cause.SIGNALLED, signal=9),
    Outcome(Cause.LOST),
)


def request_among(executors: tuple[str, ...]) -> ExecutorRequest:
    """Make a submission that names no executor."""
    return ExecutorRequest(
        queue="default",
        experiment_name="iris",
        model_name="forest",
        requirements=("scikit-learn",),
        tags={"team": "blue"},
        resources=Resources(cpus=2, gpus=1),
        image=None,
        executors=executors,
        chosen=None,
    )


def event_in(state: JobState, number: int = 1, kind: str = "changed") -> Event:
    """Make a line of a job's history."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Event(number, JOB, 1, at, kind, state, "a reason", {"node": "local"})


@dataclass
class FakeListener(Listener):
    """Keeps what it hears, in order, as ``heard`` (method and argument).

    ``error`` is raised by every method. ``hold`` blocks every method until it is set. ``sentence``
    is what ``diagnose`` gives, ``choice`` what ``choose_executor`` gives.
    """

    error: BaseException | None = None
    hold: threading.Event | None = None
    sentence: str | None = None
    choice: str | None = None
    heard: list[tuple[str, object]] = field(default_factory=list)
    closed: bool = False

    def job_changed(self, event: Event) -> None:
        self._hear("job_changed", event)

    def environment_resolved(self, environment: ResolvedEnvironment) -> None:
        self._hear("environment_resolved", environment)

    def model_registered(self, registration: Registration) -> None:
        self._hear("model_registered", registration)

    def diagnose(self, failure: Failure) -> str | None:
        self._hear("diagnose", failure)
        return self.sentence

    def choose_executor(self, request: ExecutorRequest) -> str | None:
        self._hear("choose_executor", request)
        return self.choice

    def close(self) -> None:
        self.closed = True

    def _hear(self, hook: str, told: object) -> None:
        self.heard.append((hook, told))
        if self.hold is not None:
            self.hold.wait()
        if self.error is not None:
            raise self.error


class ListenerSuite:
    """Every rule that a listener promises to keep. A subclass gives ``make_listener``."""

    def make_listener(self, folder: Path) -> Listener:
        """Build the listener under test; ``folder`` is one of its own."""
        raise NotImplementedError("give the suite a make_listener(folder)")

    @pytest.fixture
    def listener(self, tmp_path: Path) -> Iterator[Listener]:
        made = self.make_listener(tmp_path)
        made.open()
        yield made
        made.close()

    @proves("open-gives-a-place", "returns-in-time")
    def test_opening_gives_what_was_heard_last_or_none(self, tmp_path: Path) -> None:
        first, next_one = self.make_listener(tmp_path), self.make_listener(tmp_path)
        begun = time.monotonic()
        assert first.open() is None, "nothing was told yet"
        assert time.monotonic() - begun < TOLD_SECONDS
        first.job_changed(event_in(JobState.QUEUED, 7))
        first.close()
        assert next_one.open() in (None, 7)
        next_one.close()

    @pytest.mark.parametrize("state", JobState)
    @proves("any-event", "returns-in-time")
    def test_every_state_is_taken(self, listener: Listener, state: JobState) -> None:
        for number, kind in enumerate(("submitted", "claimed", "a kind of tomorrow"), 1):
            assert seconds_of(listener.job_changed, event_in(state, number, kind)) < TOLD_SECONDS

    @proves("any-event", "returns-in-time")
    def test_environments_and_registrations_are_taken(self, listener: Listener) -> None:
        assert seconds_of(listener.environment_resolved, ENVIRONMENT) < TOLD_SECONDS
        for each in REGISTRATIONS:
            listener.model_registered(each)

    @pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.cause.value)
    @pytest.mark.parametrize("log_tail", ["", "Traceback …\nValueError: no\n", "\x00\ufffd"])
    @proves("diagnosis-in-words", "returns-in-time")
    def test_a_diagnosis_is_one_line_or_none(
        self, listener: Listener, outcome: Outcome, log_tail: str
    ) -> None:
        begun = time.monotonic()
        said: object = listener.diagnose(Failure(JOB, outcome, log_tail, "it failed"))
        assert time.monotonic() - begun < ASKED_SECONDS
        if said is not None:
            assert isinstance(said, str)
            assert said.strip()
            assert "\n" not in said

    @pytest.mark.parametrize("executors", [(), ("subprocess",), ("docker", "subprocess")])
    @proves("choice-among-executors", "returns-in-time")
    def test_a_choice_is_an_executor_that_is_there(
        self, listener: Listener, executors: tuple[str, ...]
    ) -> None:
        begun = time.monotonic()
        said: object = listener.choose_executor(request_among(executors))
        assert time.monotonic() - begun < ASKED_SECONDS
        assert said is None or said in executors

    @proves("any-thread")
    def test_each_call_may_come_from_another_thread(self, listener: Listener) -> None:
        faults: list[BaseException] = []

        def call(number: int) -> None:
            try:
                listener.job_changed(event_in(JobState.RUNNING, number))
            except BaseException as error:
                faults.append(error)

        for number in range(3):
            thread = threading.Thread(target=call, args=(number,))
            thread.start()
            thread.join(TOLD_SECONDS)
            assert not thread.is_alive()
        assert faults == []

    @proves("close-any-time")
    def test_it_closes_unused_and_used(self, tmp_path: Path) -> None:
        unused, used = self.make_listener(tmp_path), self.make_listener(tmp_path)
        unused.close()
        used.job_changed(event_in(JobState.QUEUED))
        used.close()


def seconds_of(call: Callable[[Any], object], told: object) -> float:
    """Measure how long a call takes."""
    begun = time.monotonic()
    call(told)
    return time.monotonic() - begun
