"""Histories as phases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runnerd.jobs import Event, JobState
from runnerd.traces import TraceContext, own_context, phases_of, read_traceparent
from runnerd.traces.context import is_sampled

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
JOB = "0123456789abcdef0123456789abcdef"


def history(*kinds: str | tuple[str, dict[str, Any]]) -> list[Event]:
    """A line a second."""
    lines = []
    for number, each in enumerate(kinds, 1):
        kind, data = (each, {}) if isinstance(each, str) else each
        at = BEGUN + timedelta(seconds=number)
        lines.append(Event(number, JOB, 1, at, kind, JobState.QUEUED, "", data))
    return lines


def names(lines: list[Event]) -> list[str]:
    return [phase.name for phase in phases_of(lines)]


FAILED = ("ended", {"cause": "lost", "exit_code": None})


def test_a_job_that_is_tried_again_is_one_trace() -> None:
    lines = history(
        "submitted", "claimed", "environment_resolved", "started", FAILED, "retrying",
        "claimed", "environment_resolved", "started", "ended", "completed",
    )  # fmt: skip
    attempt = ["wait", "resolve environment", "launch", "run", "finish"]
    assert names(lines) == ["job", "submit", *attempt, *attempt]
    assert next(phase.error for phase in phases_of(lines) if phase.name == "run") == "lost"


def test_requirements_that_can_not_be_resolved() -> None:
    phases = phases_of(history("submitted", "claimed", "failed"))
    assert [phase.name for phase in phases] == ["job", "submit", "wait", "resolve environment"]
    assert [phase.error for phase in phases] == ["failed", None, None, "failed"]


def test_by_hand_only_what_is_new() -> None:
    over = ("submitted", "claimed", "failed")
    again = history(*over, "retry_requested", "claimed", "completed")
    assert names(again) == ["job", "wait", "resolve environment"]
    assert phases_of(again)[0].start == again[3].at
    # asked for between its end and the sending of its trace
    assert names(history(*over, "retry_requested")) == names(history(*over))


def test_lines_that_begin_nothing_are_passed_over() -> None:
    lines = history("submitted", "cancel_requested", "cancelled")
    assert names(lines) == ["job", "submit", "wait"]
    assert phases_of(history("submitted", "claimed")) == []


def test_the_end_in_its_steps() -> None:
    last = ("completed", {"archive_seconds": 0.25, "register_seconds": 0.5})
    *_, finish, archive, register = phases_of(history("submitted", "claimed", "ended", last))
    assert (archive.within, register.within) == (finish, finish)
    assert archive.end - archive.start == timedelta(seconds=0.25)
    assert register.start == archive.end


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (f"00-{JOB}-00f067aa0ba902b7-01", (0xF067AA0BA902B7, True)),
        (f"00-{JOB}-00f067aa0ba902b7-00", (0xF067AA0BA902B7, False)),
        (f"01-{JOB}-00f067aa0ba902b7-03-later", (0xF067AA0BA902B7, True)),
        (f"ff-{JOB}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{JOB}-{'0' * 16}-01", None),
        (f"00-{JOB.upper()}-00f067aa0ba902b7-01", None),
        ("", None),
    ],
)
def test_traceparent(header: str, read: tuple[int, bool] | None) -> None:
    expected = None if read is None else TraceContext(int(JOB, 16), *read)
    assert read_traceparent(header) == expected


def test_the_ratio_is_kept() -> None:
    jobs = [f"{number:032x}" for number in range(2000)]
    sampled = sum(is_sampled(job, own_context(job), 0.25) for job in jobs)
    assert 400 < sampled < 600
    assert all(is_sampled(job, own_context(job), 1) for job in jobs)
