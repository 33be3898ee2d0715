"""``[plugins.mlflow]``: a server of the daemon's own, or one that runs elsewhere."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

Seconds = Annotated[float, Field(gt=0)]


class MlflowSettings(BaseModel):
    """With ``url`` the daemon attaches to that server; without it, it runs one itself.

    ``username`` with ``password``, or ``token``, are sent to an attached server.
    ``backend_store_uri`` is the database of the daemon's own server, a SQLite file by default.
    ``request_timeout`` is for one whole request, ``start_timeout`` from a start of the server to
    its first answer; both in seconds. ``max_concurrency`` requests are with the server at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(None, pattern=r"^https?://[^/?#@]+(/[^?#]*)?$")
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    backend_store_uri: SecretStr | None = None
    request_timeout: Seconds = 60
    start_timeout: Seconds = 180
    max_concurrency: Annotated[int, Field(ge=1)] = 4

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.url and self.backend_store_uri:
            raise ValueError(
                "set url or backend_store_uri, not both: an attached server has its own"
            )
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together: set both or neither")
        if self.username is not None and self.token is not None:
            raise ValueError("set a token, or username and password, not both")
        if self.url is None and (self.username is not None or self.token is not None):
            raise ValueError("credentials need a url: the daemon's own server takes none")
        return self
