"""One try to deliver: a POST to an address that was checked, and the answer's status."""

import http.client
import json
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

from runnerd_notifier.addresses import AddressForbidden, resolve
from runnerd_notifier.settings import NotifierSettings
from runnerd_notifier.signature import HEADER, ID_HEADER, sign


class NotDelivered(Exception):
    """It was not taken; the text says why, without the secret."""


class Sender:
    """Sends to the URL of the settings. Redirects are not followed, and proxies not used."""

    def __init__(self, settings: NotifierSettings) -> None:
        self._settings = settings
        self._url = urlsplit(settings.url or "")
        self._host = self._url.hostname or ""
        self._port = self._url.port or (443 if self._url.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None

    def send(self, delivery: str, body: bytes) -> None:
        """Deliver a body; raises ``NotDelivered``, ``timeout`` seconds after the call at most.

        The time that the system takes to look up the name comes on top.
        """
        try:
            addresses = resolve(self._host, self._port, self._settings.allow_networks)
            status = self._post(addresses[0], delivery, body)
        except AddressForbidden as error:
            raise NotDelivered(str(error)) from error
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or "no answer in time"
            raise NotDelivered(f"{type(error).__name__}: {reason}"[:300]) from error
        if 300 <= status < 400:
            raise NotDelivered(f"it answered {status}, and redirects are not followed")
        if not 200 <= status < 300:
            raise NotDelivered(f"it answered {status}")

    def _post(self, address: str, delivery: str, body: bytes) -> int:
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.sock = self._connected(address)
        # A server that drips its answer keeps each read short of its own limit.
        cut = threading.Timer(self._settings.timeout, _shut, (connection.sock,))
        cut.start()
        try:
            connection.request("POST", self._target(), body, self._headers(delivery, body))
            return connection.getresponse().status
        finally:
            cut.cancel()
            connection.close()

    def _connected(self, address: str) -> socket.socket:
        plain = socket.create_connection((address, self._port), self._settings.timeout)
        if self._tls is None:
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=self._host)
        except BaseException:
            plain.close()
            raise

    def _target(self) -> str:
        return (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")

    def _headers(self, delivery: str, body: bytes) -> dict[str, str]:
        secret = self._settings.secret.get_secret_value() if self._settings.secret else ""
        return {
            "Content-Type": "application/json",
            "User-Agent": "runnerd-notifier",
            ID_HEADER: delivery,
            HEADER: sign(secret, delivery, body, int(time.time())),
        }


def as_body(**fields: object) -> bytes:
    """Give what is sent."""
    return json.dumps(fields, ensure_ascii=False).encode()


def _shut(connected: socket.socket) -> None:
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was closed meanwhile
