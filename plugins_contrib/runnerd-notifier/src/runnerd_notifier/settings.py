"""``[plugins.notifier]``."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Seconds = Annotated[float, Field(gt=0)]


class NotifierSettings(BaseModel):
    """Who is notified of what, and for how long that is tried.

    ``events`` are kinds of lines in a job's history; none of them stands for all. ``timeout`` is
    for one whole try, ``give_up_after`` from an event to the last try, and pauses between tries
    grow from ``first_pause`` to ``longest_pause``; all in seconds. Addresses that are not public
    are refused, unless they lie in one of ``allow_networks``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = None
    secret: SecretStr | None = None
    events: tuple[str, ...] = ("completed", "failed", "cancelled", "parked")
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    timeout: Annotated[float, Field(gt=0, le=60)] = 10.0
    first_pause: Seconds = 2.0
    longest_pause: Seconds = 600.0
    give_up_after: Seconds = 24 * 3600.0

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if self.url is None:
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise ValueError("url has to be an http:// or https:// address without credentials")
        if self.secret is None or len(self.secret.get_secret_value()) < 16:
            raise ValueError("set secret to 16 characters or more: it signs what is sent")
        return self
