"""Telling systemd how the daemon does, where systemd started it: sd_notify(3).

The messages are a line of text each; there is no more to the protocol than this.
"""

import os
import socket

import anyio
import structlog

READY = "READY=1"
STOPPING = "STOPPING=1"
_ALIVE = "WATCHDOG=1"
_log = structlog.get_logger(__name__)


def notify(*messages: str) -> None:
    """Send messages to systemd; does nothing where nobody asked for them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # how an abstract address is written down
        address = "\0" + address[1:]
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        with socket.socket(socket.AF_UNIX, kind) as sender:
            sender.sendto("\n".join(messages).encode(), address)
    except OSError as error:
        _log.warning("systemd could not be told", messages=messages, why=str(error))


async def feed_watchdog() -> None:
    """Say that the event loop turns, as often as systemd wants to hear it; runs until cancelled.

    It is a task among those that do the work: where they are held up, so is this one, and systemd
    restarts the daemon.
    """
    seconds = _watchdog_seconds()
    while seconds is not None:
        notify(_ALIVE)
        await anyio.sleep(seconds / 3)


def _watchdog_seconds() -> float | None:
    """Give how long systemd waits for a sign of life; None where it does not watch this process."""
    asked = os.environ.get("WATCHDOG_USEC", "")
    watched = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    return int(asked) / 1e6 if asked.isdigit() and watched == str(os.getpid()) else None
