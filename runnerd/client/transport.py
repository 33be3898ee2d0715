"""Requests to one daemon: its errors in our terms, and again where that is safe."""

import ipaddress
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from runnerd.client.errors import DaemonAway, RequestRefused, Unauthenticated

STREAM_SILENCE = 60.0
_PAUSES = (0.3, 1.0, 3.0)
_BUSY = (429, 503)


class Transport:
    """``url`` is the daemon's origin; ``timeout`` bounds each wait for it, in seconds.

    Raises ValueError for a ``url`` that is no http address.
    """

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        self.url = _origin(url)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=timeout,
            trust_env=not _is_loopback(httpx.URL(self.url).host),
        )

    def close(self) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        repeatable: bool | None = None,
        timeout: float | None = None,
        **content: Any,
    ) -> Any:
        """Send a request and give the JSON of the answer.

        A ``repeatable`` request (by default a GET) is sent again, a few times, where the
        connection broke or the daemon was busy. Raises DaemonAway, Unauthenticated and
        RequestRefused.
        """
        if timeout is not None:
            content["timeout"] = timeout
        again = method == "GET" if repeatable is None else repeatable
        for number, pause in enumerate((*_PAUSES, None) if again else (None,)):
            try:
                response = self._http.request(method, path, **content)
            except httpx.TransportError as error:
                first_refused = number == 0 and isinstance(error, httpx.ConnectError)
                if pause is None or first_refused:
                    raise DaemonAway(self.url, _reason(error)) from error
                time.sleep(pause)
                continue
            if pause is None or response.status_code not in _BUSY:
                return self._answer(response)
            time.sleep(_asked_for(response, pause))
        raise AssertionError("the last try returns or raises")

    def _answer(self, response: httpx.Response) -> Any:
        _refuse(response)
        try:
            return response.json()
        except ValueError as error:
            raise DaemonAway(self.url, "what answers there is not runnerd") from error

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """Open an answer that is read as it comes. A minute of silence counts as DaemonAway."""
        timeout = httpx.Timeout(self._http.timeout.connect, read=STREAM_SILENCE)
        try:
            with self._http.stream(
                "GET", path, params=params, headers=headers, timeout=timeout
            ) as response:
                if response.is_error:
                    response.read()
                    _refuse(response)
                yield response
        except httpx.TransportError as error:
            raise DaemonAway(self.url, _reason(error)) from error


def _refuse(response: httpx.Response) -> None:
    if response.is_success:
        return
    problem = _problem(response)
    status = response.status_code
    refusal = Unauthenticated if status == 401 else RequestRefused
    raise refusal(
        status,
        str(problem.get("detail") or f"the daemon answered {status} {response.reason_phrase}"),
        problem.get("errors") or (),
        response.headers.get("X-Request-Id"),
    )


def _problem(response: httpx.Response) -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _asked_for(response: httpx.Response, pause: float) -> float:
    try:
        asked = float(response.headers.get("Retry-After", ""))
    except ValueError:
        return pause
    return max(pause, min(asked, 10.0))


def _reason(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    if isinstance(error, httpx.ConnectError):
        return "connection refused" if "refused" in str(error) else str(error)
    return "the connection broke"


def _origin(url: str) -> str:
    address = url.rstrip("/") if "://" in url else f"http://{url.rstrip('/')}"
    try:
        parsed = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is not an http address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{url!r} is not an http address, such as http://127.0.0.1:8000")
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
