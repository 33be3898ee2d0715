"""Where the daemon listens, and under what address others reach it."""

import ipaddress
import os
import socket

from runnerd.settings import ServerSettings

_FIRST_HANDED_OVER = 3


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


def handed_over() -> socket.socket | None:
    """Take the socket on which systemd listens for the daemon; None where it does not.

    Clients who come while the daemon restarts wait in it. That is sd_listen_fds(3). Raises
    ``DaemonRefuses`` where there is more than one, or one that is no TCP socket.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    os.set_inheritable(_FIRST_HANDED_OVER, False)
    listener = socket.socket(fileno=_FIRST_HANDED_OVER)
    usable = listener.family in (socket.AF_INET, socket.AF_INET6)
    if os.environ.get("LISTEN_FDS") != "1" or not usable or listener.type != socket.SOCK_STREAM:
        raise DaemonRefuses(
            "the socket unit must hand over one TCP socket: give it one ListenStream= with an "
            "address and a port"
        )
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
