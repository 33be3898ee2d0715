"""What a transaction has written of jobs' histories, for those who hear of it once it is stored."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from runnerd.jobs import Event

_gathered: ContextVar[list[Event] | None] = ContextVar("gathered", default=None)


@contextmanager
def gathered_events() -> Iterator[list[Event]]:
    """Gather the events that are written inside the context."""
    events: list[Event] = []
    token = _gathered.set(events)
    try:
        yield events
    finally:
        _gathered.reset(token)


def gather(event: Event) -> None:
    """Add an event to those of the transaction that is under way."""
    events = _gathered.get()
    if events is not None:
        events.append(event)
