"""Objects on their way to the store: in one request, or in parts, several at the same time."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from runnerd.plugins.errors import PluginError, Refused
from runnerd.plugins.s3.connection import ASSEMBLY_SECONDS, Connection
from runnerd.plugins.s3.digests import PART_BYTES, UPLOAD, WHOLE_MD5, header_of, md5_of
from runnerd.plugins.s3.faults import UploadGone

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

MOST_PARTS = 10_000
AT_ONCE = 3
ABORT_SECONDS = 10.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an object goes. ``name`` is its key in the bucket, ``key`` what runnerd calls it.

    ``options`` are the encryption that was asked for, ``patience`` how long a part is tried.
    """

    connection: Connection
    name: str
    key: str
    part_bytes: int
    options: dict[str, Any]
    patience: float

    @property
    def bucket(self) -> str:
        return self.connection.place.bucket


async def upload(target: Target, body: AsyncIterator[bytes], size: int | None) -> int:
    """Store a body, all or nothing, and give its length. Raises ``Refused`` for another length."""
    multipart = _Multipart(target)
    length = 0
    try:
        async for part in in_parts(body, target.part_bytes):
            length += len(part)
            if length < target.part_bytes:
                _require(target.key, length, size)
                await _put_whole(target, part)
                return length
            await multipart.send(part)
        _require(target.key, length, size)
        await multipart.finish()
    except BaseException:
        await multipart.give_up()
        raise
    return length


async def in_parts(body: AsyncIterator[bytes], part_bytes: int) -> AsyncIterator[bytearray]:
    """Give a body in parts of one size, the last of them shorter, perhaps empty."""
    part = bytearray()
    async for piece in body:
        rest = memoryview(piece)
        while len(part) + len(rest) >= part_bytes:
            missing = part_bytes - len(part)
            part += rest[:missing]
            rest = rest[missing:]
            full, part = part, bytearray()
            yield full
            del full  # it is the sender's now, who lets it go when it has arrived
        part += rest
    yield part


def _require(key: str, length: int, size: int | None) -> None:
    if size is not None and length != size:
        raise Refused(f"{key!r} was announced with {size} bytes, but {length} came: send it again")


async def _put_whole(target: Target, data: bytearray) -> None:
    def put(client: "S3Client") -> None:
        client.put_object(
            Bucket=target.bucket,
            Key=target.name,
            Body=bytes(data),
            ContentMD5=header_of(data),
            Metadata={WHOLE_MD5: md5_of(data).hexdigest()},
            **target.options,
        )

    await target.connection.ask(put, target.key, sent=len(data), commits=True)


class _Multipart:
    """One upload in parts. What it began it completes or aborts."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._mark = secrets.token_hex(16)
        self._id = ""
        self._sent = 0
        self._under_way: dict[asyncio.Task[str], int] = {}
        self._etags: dict[int, str] = {}

    async def send(self, data: bytearray) -> None:
        """Send the next part, beside the ones before it; the upload begins with the first."""
        if not data:
            return
        if not self._id:
            self._id = await self._target.connection.ask(self._create, self._target.key)
        if self._sent == MOST_PARTS:
            raise Refused(
                f"{self._target.key!r} is larger than {MOST_PARTS} parts of "
                f"{self._target.part_bytes} bytes: raise part_bytes in [plugins.s3]"
            )
        await self._settle(AT_ONCE - 1)
        self._sent += 1
        self._under_way[asyncio.create_task(self._part(self._sent, data))] = self._sent

    async def _settle(self, most: int) -> None:
        """Wait until no more than ``most`` parts are under way; raises what one of them met."""
        while len(self._under_way) > most:
            done, _ = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                self._etags[self._under_way.pop(task)] = task.result()

    async def _part(self, number: int, data: bytearray) -> str:
        target = self._target

        def send(client: "S3Client") -> str:
            answer = client.upload_part(
                Bucket=target.bucket,
                Key=target.name,
                UploadId=self._id,
                PartNumber=number,
                Body=data,  # type: ignore[arg-type]  # boto3 takes it, and copies nothing
                ContentMD5=header_of(data),
            )
            return answer["ETag"]

        return await target.connection.ask(send, target.key, sent=len(data), window=target.patience)

    def _create(self, client: "S3Client") -> str:
        target = self._target
        answer = client.create_multipart_upload(
            Bucket=target.bucket,
            Key=target.name,
            Metadata={PART_BYTES: str(target.part_bytes), UPLOAD: self._mark},
            **target.options,
        )
        return answer["UploadId"]

    async def finish(self) -> None:
        """Make one object of the parts."""
        target = self._target
        await self._settle(0)
        parts: list[CompletedPartTypeDef] = [
            {"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())
        ]

        def complete(client: "S3Client") -> None:
            client.complete_multipart_upload(
                Bucket=target.bucket,
                Key=target.name,
                UploadId=self._id,
                MultipartUpload={"Parts": parts},
            )

        try:
            await target.connection.ask(
                complete,
                target.key,
                window=target.patience,
                stall=ASSEMBLY_SECONDS,
                commits=True,
            )
        except UploadGone:
            # The answer to an earlier try was lost. The object tells whether that try succeeded.
            if await target.connection.ask(self._mark_of_object, target.key) != self._mark:
                raise

    def _mark_of_object(self, client: "S3Client") -> str | None:
        answer = client.head_object(Bucket=self._target.bucket, Key=self._target.name)
        return {key.lower(): value for key, value in answer["Metadata"].items()}.get(UPLOAD)

    async def give_up(self) -> None:
        """Leave nothing of what was begun."""
        if not self._id:
            return
        for task in self._under_way:
            task.cancel()
        with anyio.move_on_after(ABORT_SECONDS, shield=True):
            await asyncio.gather(*self._under_way, return_exceptions=True)
            try:
                await self._target.connection.ask(self._abort, self._target.key, window=0)
            except PluginError as error:  # what stays is swept later; the cause goes first
                _log.warning("an upload could not be aborted", why=str(error))

    def _abort(self, client: "S3Client") -> None:
        client.abort_multipart_upload(
            Bucket=self._target.bucket, Key=self._target.name, UploadId=self._id
        )
