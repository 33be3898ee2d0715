"""Server-sent events that survive a lost connection."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runnerd.client.errors import DaemonAway, RequestRefused
from runnerd.client.transport import Transport

PATIENCE = 120.0
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. ``id`` grows from one to the next; None for an event that can't be resumed."""

    kind: str
    id: int | None
    data: str


def parse(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Cut a stream into events; one that is not whole at the end is dropped.

    Lines end at line feeds alone, so that the carriage returns of progress bars are kept.
    """
    fields: dict[str, list[str]] = {}
    for line in _lines(chunks):
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if "data" in fields:
            number = fields.get("id", [""])[-1]
            yield ServerEvent(
                kind=fields.get("event", ["message"])[-1],
                id=int(number) if number.isdecimal() else None,
                data="\n".join(fields["data"]),
            )
        fields = {}


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        if b"\n" not in chunk:
            rest += chunk
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", errors="replace")


def follow(
    transport: Transport, path: str, *, after: int = 0, patience: float = PATIENCE
) -> Iterator[ServerEvent]:
    """Give the events behind id ``after``, each once, up to and with the event ``end``.

    A lost connection is opened again for up to ``patience`` seconds, then DaemonAway is raised;
    at once where the first try fails. Raises RequestRefused as any request does.
    """
    seen, pause, deadline = after, 0.1, 0.0
    while True:
        try:
            for event in _connection(transport, path, seen):
                pause, deadline = 0.1, time.monotonic() + patience
                if event is None:
                    continue
                if event.kind == "end":
                    yield event
                    return
                if event.id is None or event.id > seen:
                    seen = event.id or seen
                    yield event
        except (DaemonAway, RequestRefused) as error:
            gone = isinstance(error, RequestRefused) and error.status not in (429, 503)
            if gone or time.monotonic() > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _connection(transport: Transport, path: str, seen: int) -> Iterator[ServerEvent | None]:
    headers = {"Accept": "text/event-stream"}
    if seen:
        headers["Last-Event-ID"] = str(seen)
    with transport.stream(path, params={"follow": "true"}, headers=headers) as response:
        yield None
        yield from parse(response.iter_bytes())
