"""Which process listens on a port of this machine."""

from collections.abc import Iterator
from pathlib import Path

_LISTENING = "0A"


def listener_on(port: int) -> str | None:
    """Give `name (pid 1)` for what listens on a TCP port; None where it can't be told.

    Reads /proc, so it sees only processes that this user may look at.
    """
    wanted = set(_sockets(port))
    for process in Path("/proc").glob("[0-9]*"):
        if wanted & set(_open_files(process)):
            return f"{_name(process)} (pid {process.name})"
    return None


def _sockets(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                yield f"socket:[{fields[9]}]"


def _open_files(process: Path) -> Iterator[str]:
    try:
        for link in (process / "fd").iterdir():
            yield str(link.readlink())
    except OSError:
        return


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8").strip()
    except OSError:
        return "a process"
