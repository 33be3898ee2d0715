"""A reader of server-sent events, as strict as a browser's."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.api.daemon import Daemon


@dataclass(frozen=True)
class SentEvent:
    kind: str
    id: int
    data: str


@asynccontextmanager
async def read_events(
    daemon: Daemon, path: str, last_event_id: int | None = None
) -> AsyncIterator[AsyncIterator[SentEvent]]:
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = str(last_event_id)
    async with daemon.session.get(
        f"{daemon.url}{path}", params={"follow": "true"}, headers=headers
    ) as response:
        assert response.status == 200, await response.read()
        assert response.content_type == "text/event-stream"
        yield _events(response.content.iter_any())


async def _events(chunks: AsyncIterator[bytes]) -> AsyncIterator[SentEvent]:
    rest = b""
    async for chunk in chunks:
        *blocks, rest = (rest + chunk).split(b"\n\n")
        for block in blocks:
            fields: dict[str, list[str]] = {}
            for line in re.split(r"\r\n|\r|\n", block.decode()):
                name, _, value = line.partition(":")
                fields.setdefault(name, []).append(value.removeprefix(" "))
            if "data" in fields:
                yield SentEvent(fields["event"][0], int(fields["id"][0]), "\n".join(fields["data"]))
