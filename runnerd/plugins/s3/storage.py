"""Objects in a bucket of a store that speaks S3."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from botocore.exceptions import ClientError

from runnerd.plugins.errors import PluginError, Refused
from runnerd.plugins.health import Condition, Health
from runnerd.plugins.s3.connection import Connection
from runnerd.plugins.s3.digests import check_for
from runnerd.plugins.s3.direct import Direct
from runnerd.plugins.s3.download import Found, Origin, Reader, Span, read_range
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.sweep import sweep
from runnerd.plugins.s3.upload import MOST_PARTS, Target, upload
from runnerd.plugins.storage import (
    DirectDownload,
    DirectUpload,
    Download,
    Storage,
    StorageCapability,
    StoredObject,
    check_key,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MAX_KEY_BYTES = 1024
PROBE_SECONDS = 4.0
SWEEP_SECONDS = 3600.0
_log = structlog.get_logger(__name__)


class S3Storage(Storage):
    """Keeps objects below ``prefix`` of a bucket.

    Up to a part's size an object is one request, beyond that a multipart upload that is completed
    or aborted. Memory for one transfer is about five parts.
    """

    shared = True
    remote = True

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._root = f"{settings.prefix}/" if settings.prefix else ""
        self._connection = Connection(settings, settings.bucket or "")
        self._direct = Direct(settings)
        if settings.direct:
            self.capabilities = frozenset(StorageCapability)
        self._sweeping: asyncio.Task[None] | None = None
        self._writable = False

    @property
    def _bucket(self) -> str:
        return self._connection.place.bucket

    async def open(self) -> None:
        if not self._settings.bucket:
            raise Refused("the storage plugin s3 needs a bucket: set bucket in [plugins.s3]")
        self._sweeping = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping
        self._connection.close()
        self._direct.close()

    async def put(
        self, key: str, body: AsyncIterator[bytes], *, size: int | None = None
    ) -> StoredObject:
        target = self._target(key)
        if size is not None and size > MOST_PARTS * target.part_bytes:
            raise Refused(
                f"{key!r} has {size} bytes, and {MOST_PARTS * target.part_bytes} is the most: "
                "raise part_bytes in [plugins.s3]"
            )
        return StoredObject(key, await upload(target, body, size))

    @asynccontextmanager
    async def get(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[Download]:
        name = self._name(key)
        part_bytes = self._settings.part_bytes
        if start < 0 or (end is not None and end < start):
            size = (await self.stat(key)).size
            raise _outside(key, start, end, size)
        stop = start + part_bytes if end is None else min(end, start + part_bytes)
        found = await self._beginning(key, name, start, max(stop, start + 1))
        if found is None:
            size = (await self.stat(key)).size
            if start > size:
                raise _outside(key, start, end, size)
            yield Download(size, start, start, _nothing())
            return
        size = int(found.answer["ContentRange"].rpartition("/")[2])
        last = size if end is None else min(end, size)
        whole = start == 0 and last == size
        check = check_for(found.answer, size, part_bytes) if whole else None
        origin = Origin(self._connection, name, key, found.answer["ETag"], self._settings.patience)
        begun = found.pieces if last > start else []  # where no byte is wanted, one was read
        reader = Reader(origin, Span(start, last, part_bytes), begun, check)
        del found, begun  # their memory is the reader's now
        try:
            yield Download(size, start, last, reader.body())
        finally:
            await reader.close()

    async def _beginning(self, key: str, name: str, start: int, stop: int) -> Found | None:
        """Read the beginning of a range; None where nothing of the object lies there."""

        def read(client: "S3Client") -> Found | None:
            try:
                return read_range(client, self._bucket, name, start, stop)
            except ClientError as error:
                if error.response["Error"]["Code"] in ("InvalidRange", "416"):
                    return None
                raise

        return await self._connection.ask(read, key, sent=stop - start)

    async def stat(self, key: str) -> StoredObject:
        name = self._name(key)

        def head(client: "S3Client") -> int:
            try:
                return client.head_object(Bucket=self._bucket, Key=name)["ContentLength"]
            except ClientError:
                # The answer to HEAD has no body, so it doesn't say why; this one does.
                client.list_objects_v2(Bucket=self._bucket, Prefix=name, MaxKeys=1)
                raise

        return StoredObject(key, await self._connection.ask(head, key))

    async def list(self, prefix: str) -> list[StoredObject]:
        start = f"{self._name(prefix)}/" if prefix else self._root
        found: list[StoredObject] = []
        token: str | None = None
        while True:
            page = await self._page(start, token, delimiter="/")
            for folder in page.get("CommonPrefixes", ()):
                key = folder["Prefix"].removeprefix(self._root).removesuffix("/")
                found += _child(key, 0, is_folder=True)
            for entry in page.get("Contents", ()):
                found += _child(entry["Key"].removeprefix(self._root), entry["Size"])
            token = page.get("NextContinuationToken")
            if token is None:
                return sorted(found, key=lambda each: (each.key, each.is_folder))

    async def delete(self, key: str) -> None:
        name = self._name(key)
        # The object itself is the first of all names that begin so, if it is there.
        first = (await self._page(name, most=1)).get("Contents", ())
        if [each["Key"] for each in first] == [name]:
            await self._connection.ask(partial(self._remove, [name]), key)
        while names := [each["Key"] for each in (await self._page(f"{name}/")).get("Contents", ())]:
            await self._connection.ask(partial(self._remove, names), key)

    def _remove(self, names: Sequence[str], client: "S3Client") -> None:
        answer = client.delete_objects(
            Bucket=self._bucket,
            Delete={"Objects": [{"Key": name} for name in names], "Quiet": True},
        )
        for failure in answer.get("Errors", ()):
            error: Any = {"Error": failure, "ResponseMetadata": answer["ResponseMetadata"]}
            raise ClientError(error, "DeleteObjects")

    async def direct_download(self, key: str) -> DirectDownload | None:
        size = (await self.stat(key)).size
        if size <= self._settings.part_bytes:
            return None  # one request either way, and this way it is checked
        return await self._direct.download(self._target(key), size)

    async def direct_upload(self, key: str, parts: int) -> DirectUpload | None:
        return await self._direct.begin(self._target(key), parts)

    async def finish_direct_upload(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        await self._direct.finish(self._target(key), upload_id, etags)

    async def abort_direct_upload(self, key: str, upload_id: str) -> None:
        await self._direct.abort(self._target(key), upload_id)

    async def health(self) -> Health:
        try:
            await self._connection.probe(self._probe, PROBE_SECONDS)
        except PluginError as error:
            self._writable = False
            return Health(Condition.UNHEALTHY, str(error))
        place = self._connection.place
        return Health(Condition.HEALTHY, f"the bucket {place.bucket!r} at {place.endpoint} answers")

    def _probe(self, client: "S3Client") -> None:
        """List; and where it was not seen to work before, begin an upload and abort it."""
        client.list_objects_v2(Bucket=self._bucket, Prefix=self._root, MaxKeys=1)
        if not self._writable:
            name = f"{self._root}.probe"
            begun = client.create_multipart_upload(
                Bucket=self._bucket, Key=name, **self._encryption
            )
            client.abort_multipart_upload(Bucket=self._bucket, Key=name, UploadId=begun["UploadId"])
            self._writable = True

    async def _page(
        self, prefix: str, token: str | None = None, *, delimiter: str = "", most: int = 1000
    ) -> dict[str, Any]:
        more: Any = {"ContinuationToken": token} if token else {}
        if delimiter:
            more["Delimiter"] = delimiter
        page: Any = await self._connection.ask(
            lambda client: client.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, MaxKeys=most, **more
            ),
            prefix,
        )
        return dict(page)

    async def _sweep(self) -> None:
        """Abort the uploads that a daemon or a client began and will not end, now and then."""
        while True:
            try:
                gone = await sweep(self._connection, self._root, self._settings.stale_upload_hours)
            except PluginError as error:
                _log.warning("stale uploads could not be looked for", why=str(error))
            else:
                if gone:
                    _log.info("stale uploads were aborted", count=gone)
            await asyncio.sleep(SWEEP_SECONDS)

    @property
    def _encryption(self) -> dict[str, Any]:
        chosen = {
            "ServerSideEncryption": self._settings.sse,
            "SSEKMSKeyId": self._settings.sse_kms_key_id,
        }
        return {name: value for name, value in chosen.items() if value is not None}

    def _target(self, key: str) -> Target:
        return Target(
            connection=self._connection,
            name=self._name(key),
            key=key,
            part_bytes=self._settings.part_bytes,
            options=self._encryption,
            patience=self._settings.patience,
        )

    def _name(self, key: str) -> str:
        name = self._root + check_key(key)
        try:
            length = len(name.encode())
        except UnicodeEncodeError:
            raise Refused(f"the path {key!r} is not valid Unicode") from None
        if length > MAX_KEY_BYTES:
            raise Refused(
                f"the path {key[:200]!r} is too long: with the prefix it has {length} bytes of at "
                f"most {MAX_KEY_BYTES}"
            )
        return name


def _child(key: str, size: int, *, is_folder: bool = False) -> list[StoredObject]:
    """Describe what a listing shows; nothing where another program made what no key leads to."""
    try:
        return [StoredObject(check_key(key), size, is_folder=is_folder)]
    except Refused:
        return []


def _outside(key: str, start: int, end: int | None, size: int) -> Refused:
    return Refused(f"bytes {start} to {end} of {key!r} were asked for, but it has {size} bytes")


async def _nothing() -> AsyncIterator[bytes]:
    no_bytes: tuple[bytes, ...] = ()
    for piece in no_bytes:
        yield piece
