"""``[plugins.external-mlflow]``."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


class ExternalMlflowSettings(BaseModel):
    """Where the server is, and the file whose content is the token that it wants.

    ``request_timeout`` is for one whole request, in seconds; ``max_concurrency`` requests are with
    the server at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    token_file: Path | None = None
    request_timeout: Annotated[float, Field(gt=0)] = 60
    max_concurrency: Annotated[int, Field(ge=1)] = 4

    @field_validator("url")
    @classmethod
    def _address_alone(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")) or any(sign in url for sign in "@?#"):
            raise ValueError("use an http:// or https:// address without credentials or a query")
        return url
