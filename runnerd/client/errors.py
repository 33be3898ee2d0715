"""What can go wrong between a client and the daemon, named by what the caller must do."""

from collections.abc import Sequence
from typing import Any


class DaemonAway(Exception):
    """No answer came from the daemon: start it, or correct the address, and try again."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(
            f"no runnerd answers at {url} ({reason}): start it with `runnerd serve`, "
            "or name another address with --url or RUNNERD_URL"
        )


class RequestRefused(Exception):
    """The daemon answered with an error: correct the request.

    ``detail`` is its sentence, ``errors`` its list of faulty fields (``loc``, ``msg``), and
    ``request_id`` finds the request in the daemon's log.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[dict[str, Any]] = (),
        request_id: str | None = None,
    ) -> None:
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.request_id = request_id
        super().__init__(detail)


class Unauthenticated(RequestRefused):
    """The daemon asks for a token, or does not know the one that was sent."""
