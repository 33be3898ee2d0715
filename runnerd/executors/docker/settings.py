"""``[plugins.docker]``: the engine, and what attempts get of it."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

Text = Annotated[str, Field(min_length=1)]
Bytes = Annotated[int, Field(gt=0)]


class DockerSettings(BaseModel):
    """Which engine runs attempts, in what, and how much of the machine they see.

    ``host`` is ``unix:///PATH`` or ``tcp://HOST:PORT``; a TCP address other than loopback needs
    ``tls_ca``, ``tls_cert`` and ``tls_key``. ``image`` is that of jobs that name none, and
    ``python`` the interpreter in it, 3.8 or newer. ``cache_volume`` keeps uv's cache and the built
    environments, for all containers. ``user`` is ``UID`` or ``UID:GID``, None the image's own.

    ``registry_config`` is a file as ``docker login`` writes it, ``registry_auths`` the same as a
    text. ``gpus`` is how many devices the engine can hand out. ``janitor`` removes what nobody owns
    any more after ``janitor_grace_seconds``; ``report`` only logs what it would remove.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Text = "unix:///var/run/docker.sock"
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    image: Text = "python:3.11-slim"
    python: Text = "python3"
    pull: Literal["missing", "always", "never"] = "missing"
    pull_timeout: Annotated[float, Field(gt=0)] = 1800.0
    registry_config: Path | None = None
    registry_auths: SecretStr | None = None
    network: Text = "bridge"
    extra_hosts: tuple[Text, ...] = ()
    user: Annotated[str, Field(pattern=r"^\d+(:\d+)?$")] | None = None
    cap_add: tuple[Text, ...] = ()
    read_only: bool = False
    pids: Annotated[int, Field(ge=16)] = 4096
    shm_bytes: Bytes = 64 * 1024 * 1024
    gpus: Annotated[int, Field(ge=0)] = 0
    cache_volume: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")] = "runnerd-cache"
    janitor: Literal["remove", "report", "off"] = "remove"
    janitor_grace_seconds: Annotated[float, Field(gt=0)] = 3600.0

    @field_validator("host")
    @classmethod
    def _known_scheme(cls, host: str) -> str:
        url = urlsplit(host)
        if url.scheme == "unix" and url.path.startswith("/"):
            return host
        if url.scheme == "tcp" and url.hostname and url.port:
            return host
        raise ValueError("use unix:///PATH of the engine's socket, or tcp://HOST:PORT")

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        parts = (self.tls_ca, self.tls_cert, self.tls_key)
        if any(parts) and not all(parts):
            raise ValueError("tls_ca, tls_cert and tls_key go together: give all three")
        if not any(parts) and self.remote and not _is_loopback(self.host):
            raise ValueError(
                "who reaches an engine without TLS owns its machine: give tls_ca, tls_cert and "
                "tls_key, or use the unix socket"
            )
        return self

    @property
    def remote(self) -> bool:
        """Whether the engine is reached over TCP, by any machine that has the keys."""
        return self.host.startswith("tcp://")


def _is_loopback(host: str) -> bool:
    name = urlsplit(host).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
