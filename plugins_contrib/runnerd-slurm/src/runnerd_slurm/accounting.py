"""What Slurm's accounting still knows of a job that its controller has forgotten."""

import os
import time

from runnerd.plugins import BackendAway
from runnerd_slurm.ends import End
from runnerd_slurm.programs import Programs
from runnerd_slurm.queue import OVER

FORMAT = "JobIDRaw,State,NodeList"
DISABLED = "accounting storage is disabled"
# The submission is noted by the daemon's clock, and found by that of the controller.
CLOCKS_APART_SECONDS = 3600


async def recorded_end(programs: Programs, name: str, submitted_at: float) -> End | None:
    """Give the end of the newest job of that name, None where none is on record.

    ``submitted_at`` is seconds since the epoch. Raises ``BackendAway`` where the cluster has
    accounting and it does not answer.
    """
    since = time.localtime(submitted_at - CLOCKS_APART_SECONDS)
    said = await programs.run(
        "sacct",
        "--allocations",
        "--parsable2",
        f"--format={FORMAT}",
        f"--name={name}",
        f"--user={os.getuid()}",
        f"--starttime={time.strftime('%Y-%m-%dT%H:%M:%S', since)}",
    )
    heading, *lines = said.output.splitlines() or [""]
    if heading.startswith("JobIDRaw|"):
        return read_end(lines)
    if DISABLED in said.errors:
        return None
    raise BackendAway(f"Slurm's accounting does not answer: {said.reason}")


def read_end(lines: list[str]) -> End | None:
    """Read sacct's lines, in the plugin's own format; None where the newest job is not over."""
    rows = [line.split("|") for line in lines]
    if not rows:
        return None
    _, state, node = max(rows, key=lambda row: int(row[0]))
    state = state.partition(" ")[0]  # CANCELLED by 1000
    return End(state, node=node) if state in OVER else None
