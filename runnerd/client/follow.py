"""Streams that survive a lost connection: server-sent events, and content as it is."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import httpx

from runnerd.client.errors import DaemonAway, RequestRefused
from runnerd.client.transport import Transport

PATIENCE = 120.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event. ``id`` grows from one to the next; None for an event that can't be resumed."""

    kind: str
    id: int | None
    data: str


def parse(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Cut a stream into events; one that is not whole at the end is dropped."""
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


class _Patience:
    """Decides whether a lost connection is opened again, and when."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._deadline = 0.0
        self._pause = _FIRST_PAUSE

    def renew(self) -> None:
        """The daemon answers: a loss from here on is borne for the whole time again."""
        self._deadline = time.monotonic() + self._seconds
        self._pause = _FIRST_PAUSE

    @contextmanager
    def bearing(self) -> Iterator[None]:
        """Bear a loss that may pass; others are raised."""
        try:
            yield
        except (DaemonAway, RequestRefused) as error:
            gone = isinstance(error, RequestRefused) and error.status not in (429, 503)
            if gone or time.monotonic() > self._deadline:
                raise

    def pause(self) -> None:
        """Wait before the next try, longer from one to the next."""
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


def follow_events(
    transport: Transport, path: str, *, patience: float = PATIENCE
) -> Iterator[ServerEvent]:
    """Give a stream's events, each once, up to and with the event ``end``.

    A lost connection is opened again for up to ``patience`` seconds, then DaemonAway is raised;
    at once where the first try fails. Raises RequestRefused as any request does.
    """
    seen, losses = 0, _Patience(patience)
    while True:
        with losses.bearing(), _opened(transport, path, seen, "text/event-stream") as response:
            losses.renew()
            for event in parse(response.iter_bytes()):
                losses.renew()
                if event.kind == "end":
                    yield event
                    return
                if event.id is None or event.id > seen:
                    seen = event.id or seen
                    yield event
        losses.pause()


def follow_content(
    transport: Transport, path: str, has_ended: Callable[[], bool], *, patience: float = PATIENCE
) -> Iterator[bytes]:
    """Give a stream's content byte by byte as it is, in pieces, until its job has ended.

    A stream that closes was the last one if ``has_ended`` said so before it was opened. Lost
    connections are treated as in ``follow_events``.
    """
    received, losses = 0, _Patience(patience)
    while True:
        with losses.bearing():
            is_last = has_ended()
            with _opened(transport, path, received, "text/plain") as response:
                losses.renew()
                for piece in response.iter_bytes():
                    received += len(piece)
                    losses.renew()
                    yield piece
            if is_last:
                return
        losses.pause()


def _opened(
    transport: Transport, path: str, seen: int, media: str
) -> AbstractContextManager[httpx.Response]:
    headers = {"Accept": media}
    if seen:
        headers["Last-Event-ID"] = str(seen)
    return transport.stream(path, params={"follow": "true"}, headers=headers)
