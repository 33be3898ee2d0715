"""A job's history as the spans of its trace."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from runnerd.jobs import Cause, Event

JOB = "job"
# Each of these lines ends one phase and begins the next.
_BEGINS = {
    "submitted": "wait",
    "retrying": "wait",
    "retry_requested": "wait",
    "released": "wait",
    "claimed": "resolve environment",
    "environment_resolved": "launch",
    "building_environment": "build environment",
    "started": "run",
    "ended": "finish",
}
ENDS = frozenset({"completed", "failed", "cancelled", "parked"})
# What the last line says of how the time of `finish` was spent.
_OF_FINISH = (("archive", "archive_seconds"), ("register", "register_seconds"))

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Phase:
    """A span to be. ``event_id`` is the line it began with, ``within`` the phase it belongs to.

    ``error`` says what went wrong in it, None where nothing did.
    """

    name: str
    event_id: int
    start: datetime
    end: datetime
    within: "Phase | None" = None
    error: str | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)


def phases_of(history: Sequence[Event]) -> list[Phase]:
    """Give the phases of a job that is over, the whole first.

    Of a job that ended before and was tried again by hand only what came since: the rest was given
    when it ended. Empty where the job is not over.
    """
    lines = _since_it_ended_before(history)
    if not lines or lines[-1].kind not in ENDS:
        return []
    first, last = lines[0], lines[-1]
    received = first.at - timedelta(seconds=_number(first, "submit_seconds"))
    failed = None if last.kind == "completed" else last.reason or last.kind
    whole = Phase(JOB, first.id, received, last.at, None, failed, {"state": last.state.value})
    submit = Phase("submit", first.id, received, first.at, whole)
    begun = [submit] if first.kind == "submitted" else []
    return [whole, *begun, *_steps(lines, whole)]


def _since_it_ended_before(history: Sequence[Event]) -> Sequence[Event]:
    ends = [place for place, line in enumerate(history) if line.kind in ENDS]
    over = ends[-1] + 1 if ends else 0
    begin = ends[-2] + 1 if len(ends) > 1 else 0
    return history[begin:over]


def _steps(lines: Sequence[Event], whole: Phase) -> Iterator[Phase]:
    marks = [line for line in lines if line.kind in _BEGINS or line.kind in ENDS]
    for begin, end in pairwise(marks):
        step = Phase(
            _BEGINS[begin.kind],
            begin.id,
            begin.at,
            end.at,
            whole,
            _error_in(end),
            {"attempt": max(begin.attempt, end.attempt), **_told(end)},
        )
        yield step
        if step.name == "finish":
            yield from _parts_of_finish(begin, end, step)


def _parts_of_finish(begin: Event, end: Event, step: Phase) -> Iterator[Phase]:
    start = begin.at
    for name, key in _OF_FINISH:
        if key in end.data:
            over = start + timedelta(seconds=_number(end, key))
            yield Phase(name, begin.id, start, over, step)
            start = over


def _error_in(end: Event) -> str | None:
    if end.kind == "ended":
        succeeded = end.data.get("cause") == Cause.EXITED and end.data.get("exit_code") == 0
        return None if succeeded else end.reason or str(end.data.get("cause"))
    return end.reason or end.kind if end.kind in ENDS - {"completed"} else None


def _told(line: Event) -> dict[str, Value]:
    return {key: value for key, value in line.data.items() if isinstance(value, Value)}


def _number(line: Event, key: str) -> float:
    return float(line.data.get(key, 0.0))
