"""Clearing away what was begun and never ended."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from runnerd.plugins.s3.connection import Connection
from runnerd.plugins.s3.faults import UploadGone

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


async def sweep(connection: Connection, prefix: str, hours: float) -> int:
    """Abort the uploads below ``prefix`` that are older than ``hours``; give their number."""
    bucket = connection.place.bucket
    oldest = datetime.now(UTC) - timedelta(hours=hours)
    gone, more = 0, dict[str, Any]()
    while True:

        def list_uploads(client: "S3Client", more: dict[str, Any] = more) -> Any:
            return client.list_multipart_uploads(Bucket=bucket, Prefix=prefix, **more)

        try:
            page = await connection.ask(list_uploads)
        except UploadGone:
            return gone  # so some stores say that there is none
        for begun in page.get("Uploads", ()):
            if begun["Initiated"] < oldest:
                which = {"Key": begun["Key"], "UploadId": begun["UploadId"]}

                def abort(client: "S3Client", which: dict[str, str] = which) -> None:
                    client.abort_multipart_upload(Bucket=bucket, **which)  # type: ignore[arg-type]

                await connection.ask(abort)
                gone += 1
        if not page.get("IsTruncated"):
            return gone
        more = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
