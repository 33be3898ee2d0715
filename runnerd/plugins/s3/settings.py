"""``[plugins.s3]``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MIB = 1024 * 1024
DAY = 24 * 3600


class S3Settings(BaseModel):
    """Where the objects are kept. Credentials are found by boto3's own chain, never here.

    ``part_bytes`` is the size of a part: memory for one transfer is about five of them, and an
    object has 10,000 at most. ``max_concurrency`` bounds the requests at the same time.
    ``patience`` is how many seconds a transfer under way waits for a store that is away.
    ``direct`` lets clients exchange large objects with the store itself, at
    ``direct_endpoint_url``, by addresses that hold for ``direct_seconds``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket: str | None = None
    prefix: str = "runnerd"
    endpoint_url: str | None = None
    region: str | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    profile: str | None = None
    sse: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    sse_kms_key_id: str | None = None
    part_bytes: Annotated[int, Field(ge=5 * MIB, le=128 * MIB)] = 8 * MIB
    max_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    patience: Annotated[float, Field(ge=0)] = 75.0
    stale_upload_hours: Annotated[float, Field(gt=0)] = 24.0
    direct: bool = False
    direct_endpoint_url: str | None = None
    direct_seconds: Annotated[int, Field(ge=60, le=DAY)] = 3600

    @field_validator("prefix")
    @classmethod
    def _plain_prefix(cls, prefix: str) -> str:
        parts = prefix.split("/")
        if prefix and any(part in ("", ".", "..") for part in parts):
            raise ValueError("use names joined by single slashes, with none at the ends, or ''")
        return prefix

    @field_validator("endpoint_url", "direct_endpoint_url")
    @classmethod
    def _http_endpoint(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            raise ValueError("use an address that begins with http:// or https://")
        return url
