"""Files on their way into a container and out of it, as the engine wants them: in archives."""

import io
import tarfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import aiohttp

from runnerd.executors.docker.engine import Engine, EngineRefused, archive_of
from runnerd.plugins import BackendAway

_BLOCK = 512
CHUNK = 256 * 1024
SMALL = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a folder where ``content`` is None."""

    name: str
    content: bytes | None = None
    mode: int = 0o600


def packed(entries: Iterable[Entry], uid: int, gid: int) -> bytes:
    """Pack files that belong to this user of the container."""
    packet = io.BytesIO()
    with tarfile.open(fileobj=packet, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            member = tarfile.TarInfo(entry.name)
            member.uid, member.gid, member.mode = uid, gid, entry.mode
            if entry.content is None:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            else:
                member.size = len(entry.content)
                archive.addfile(member, io.BytesIO(entry.content))
    return packet.getvalue()


async def put(engine: Engine, container: str, folder: str, archive: bytes) -> None:
    """Unpack an archive into a folder of the container, which may run or not."""
    await engine.call("PUT", archive_of(container), query={"path": folder}, data=archive)


async def read_small(engine: Engine, container: str, path: str) -> bytes | None:
    """Give what a small file holds, None where there is no such file."""
    content = bytearray()
    try:
        async for chunk in read_file(engine, container, path):
            content += chunk
            if len(content) > SMALL:
                return None
    except EngineRefused as refusal:
        if refusal.status == 404:
            return None
        raise
    return bytes(content)


async def read_file(
    engine: Engine, container: str, path: str, start: int = 0
) -> AsyncIterator[bytes]:
    """Give a file from byte ``start``, as long as it was when the engine looked.

    Anything that is no plain file (a script may have put a link there) is empty.
    """
    async with engine.stream(
        "GET", archive_of(container), query={"path": path}, headers={}
    ) as stream:
        left = await _find_file(stream)
        while left > 0:
            chunk = await stream.read(min(CHUNK, left))
            if not chunk:
                raise BackendAway(f"the Docker engine broke off in the middle of {path}")
            left -= len(chunk)
            fresh = chunk[max(0, start) :]
            start -= len(chunk)
            if fresh:
                yield fresh


async def _find_file(stream: aiohttp.StreamReader) -> int:
    """Read up to the first member's content; gives its size, 0 for what is no plain file."""
    while True:
        block = await stream.readexactly(_BLOCK)
        if not block.strip(b"\0"):
            return 0
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if member.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
            await stream.readexactly(-(-member.size // _BLOCK) * _BLOCK)
            continue
        return member.size if member.isreg() else 0
