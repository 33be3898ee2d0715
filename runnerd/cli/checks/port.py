"""Whether the daemon's port is free, or who has it."""

import socket

from runnerd.cli.checks.finding import Finding
from runnerd.cli.checks.listeners import listener_on
from runnerd.client import Client, DaemonAway, RequestRefused, Unauthenticated

_SECONDS = 5.0


def port(host: str, number: int) -> Finding:
    """Try to take the port; a daemon of ours that has it is no fault."""
    address = f"[{host}]:{number}" if ":" in host else f"{host}:{number}"
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, number))
    except OSError as error:
        if _is_daemon(address):
            return Finding("port", "ok", f"a daemon has {address}")
        user = listener_on(number)
        detail = f"{address} can't be taken: {error.strerror}" + (f", by {user}" if user else "")
        cure = "stop what uses it, or choose another with --host and --port"
        return Finding("port", "fail", detail, cure)
    return Finding("port", "ok", f"{address} is free")


def _is_daemon(address: str) -> bool:
    try:
        with Client(f"http://{address}", timeout=_SECONDS) as client:
            client.status()
    except Unauthenticated:
        return True
    except (DaemonAway, RequestRefused, ValueError):
        return False
    return True
