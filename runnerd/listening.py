"""Where the daemon listens, and under what address others reach it."""

import ipaddress
import socket

from runnerd.settings import ServerSettings


class DaemonRefuses(Exception):
    """The daemon can't or must not start; the text says why and what to do."""


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """Take the address, not listening yet; raises ``DaemonRefuses`` where that fails."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, proto)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise DaemonRefuses(
            f"can't listen on {host}:{port}: {error.strerror or error}. Choose another address "
            "with --host and --port, or stop what uses it"
        ) from error
    return listener


def origin_of(settings: ServerSettings, listener: socket.socket) -> str:
    """Give the daemon's public address: the configured one, or where it listens."""
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if listener.family == socket.AF_INET6 else "127.0.0.1"
    return _url(host, port)


def node_url_of(settings: ServerSettings, listener: socket.socket) -> str:
    """Give the address for the daemons of other nodes."""
    configured = settings.node_url or settings.public_url
    if configured is not None:
        return configured.rstrip("/")
    host, port = listener.getsockname()[:2]
    anywhere = ipaddress.ip_address(host).is_unspecified
    return _url(socket.gethostname() if anywhere else host, port)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
