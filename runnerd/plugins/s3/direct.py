"""Transfers between a client and the store itself, by addresses that are signed for a time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from runnerd.plugins.errors import NotFound, Refused
from runnerd.plugins.s3.connection import ASSEMBLY_SECONDS, Connection
from runnerd.plugins.s3.faults import UploadGone
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.upload import MOST_PARTS, Target
from runnerd.plugins.storage import DirectDownload, DirectUpload

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_BAD_PARTS = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML")


class Direct:
    """``signing`` signs for the address at which clients reach the store; it asks nothing there."""

    def __init__(self, settings: S3Settings) -> None:
        self._seconds = settings.direct_seconds
        at_clients = {"endpoint_url": settings.direct_endpoint_url or settings.endpoint_url}
        self._signing = Connection(settings.model_copy(update=at_clients), settings.bucket or "")

    def close(self) -> None:
        self._signing.close()

    async def download(self, target: Target, size: int) -> DirectDownload:
        """Give the address of an object."""
        which = {"Bucket": target.bucket, "Key": target.name}

        def sign(client: "S3Client") -> str:
            return client.generate_presigned_url("get_object", which, self._seconds)

        return DirectDownload(await self._signing.ask(sign, target.key), size)

    async def begin(self, target: Target, parts: int) -> DirectUpload | None:
        """Begin an upload of so many parts; None where there may not be so many."""
        if parts > MOST_PARTS:
            return None

        def create(client: "S3Client") -> str:
            begun = client.create_multipart_upload(
                Bucket=target.bucket, Key=target.name, **target.options
            )
            return begun["UploadId"]

        upload_id = await target.connection.ask(create, target.key)
        which: dict[str, Any] = _which(target, upload_id)

        def sign(client: "S3Client") -> tuple[str, ...]:
            return tuple(
                client.generate_presigned_url(
                    "upload_part", {**which, "PartNumber": number}, self._seconds
                )
                for number in range(1, parts + 1)
            )

        return DirectUpload(upload_id, await self._signing.ask(sign, target.key))

    async def finish(self, target: Target, upload_id: str, etags: Sequence[str]) -> None:
        """Make one object of what was sent."""
        parts: Any = [
            {"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)
        ]

        def complete(client: "S3Client") -> None:
            try:
                client.complete_multipart_upload(
                    **_which(target, upload_id), MultipartUpload={"Parts": parts}
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in _BAD_PARTS:
                    raise Refused(
                        f"the parts of {target.key!r} are not those that the S3 store received "
                        f"({error.response['Error']['Code']}): send it again"
                    ) from error
                raise

        try:
            await target.connection.ask(
                complete,
                target.key,
                window=target.patience,
                stall=ASSEMBLY_SECONDS,
                commits=True,
            )
        except UploadGone as error:
            raise NotFound(f"there is no such upload of {target.key!r}: send it again") from error

    async def abort(self, target: Target, upload_id: str) -> None:
        """Forget what was sent."""

        def abort(client: "S3Client") -> None:
            client.abort_multipart_upload(**_which(target, upload_id))

        try:
            await target.connection.ask(abort, target.key)
        except (UploadGone, NotFound):
            return


def _which(target: Target, upload_id: str) -> Any:
    return {"Bucket": target.bucket, "Key": target.name, "UploadId": upload_id}
