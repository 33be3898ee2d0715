"""``[plugins.fsspec]``."""

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Writing = Literal["rename", "commit"]
# How whole objects are made, by protocol: what stands here is known of fsspec's implementations.
RENAMING = frozenset({"file", "local", "sftp", "ssh"})
COMMITTING = frozenset({"abfs", "abfss", "az", "gcs", "gs", "s3", "s3a"})


class FsspecSettings(BaseModel):
    """Where the objects are kept, and how fsspec gets there.

    ``options`` and ``secrets`` are given to the file system as they are; what is in ``secrets`` is
    never shown. ``write`` says how an object becomes visible whole: by renaming a file, or by
    completing an upload. ``max_concurrency`` bounds the calls at the same time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    options: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, SecretStr] = Field(default_factory=dict)
    write: Writing | None = None
    max_concurrency: Annotated[int, Field(ge=1, le=64)] = 8

    @property
    def protocol(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def writing(self) -> Writing:
        return self.write or ("rename" if self.protocol in RENAMING else "commit")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.protocol or "::" in self.url:
            raise ValueError(
                "url has to be one address such as gs://bucket/prefix or file:///srv/x"
            )
        if urlsplit(self.url).password:
            raise ValueError("put the password into secrets, not into the url")
        if self.write is None and self.protocol not in RENAMING | COMMITTING:
            raise ValueError(
                f"it is not known how {self.protocol}:// stores an object whole: set write to "
                '"rename" where it replaces a file by renaming another, or to "commit" where an '
                "upload is not seen before it is complete"
            )
        return self
