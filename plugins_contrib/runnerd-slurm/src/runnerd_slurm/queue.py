"""What Slurm says of all attempts at once: one squeue at a time, however many watch."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import anyio

from runnerd.plugins import BackendAway
from runnerd_slurm.programs import Programs

# squeue's own states of a job that is over. One that is not known here is taken for alive.
OVER = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "COMPLETED",
        "DEADLINE",
        "FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "REVOKED",
        "TIMEOUT",
    }
)
PENDING = "PENDING"
FORMAT = "%i|%T|%r|%N|%j"


@dataclass(frozen=True, slots=True)
class SlurmJob:
    """A batch job: ``state`` and ``reason`` in squeue's words, ``node`` empty before it starts."""

    number: int
    state: str
    reason: str
    node: str

    @property
    def is_over(self) -> bool:
        return self.state in OVER


class Queue:
    """The jobs of this user by their names; of one name the newest."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._lock = anyio.Lock()
        self._asked_at = -float("inf")
        self._answer: Mapping[str, SlurmJob] | BackendAway = {}

    async def look(self, oldest: float = 0.0) -> Mapping[str, SlurmJob]:
        """Give the jobs as they stood at most ``oldest`` seconds before this call.

        Who calls while Slurm is being asked shares the answer or the next one. Raises
        ``BackendAway``. Jobs that ended some minutes ago are forgotten by Slurm (``MinJobAge``).
        """
        needed = time.monotonic() - oldest
        async with self._lock:
            if self._asked_at < needed:
                asked_at = time.monotonic()
                self._answer = await self._ask()
                self._asked_at = asked_at
            if isinstance(self._answer, BackendAway):
                raise BackendAway(str(self._answer))
            return self._answer

    async def _ask(self) -> Mapping[str, SlurmJob] | BackendAway:
        user = str(os.getuid())
        try:
            said = await self._programs.run(
                "squeue", f"--user={user}", "--states=all", f"--format={FORMAT}"
            )
        except BackendAway as away:
            return away
        heading, *lines = said.output.splitlines() or [""]
        if not heading.startswith("JOBID|"):
            return BackendAway(f"Slurm does not answer: {said.reason}")
        return read_jobs(lines)


def read_jobs(lines: list[str]) -> dict[str, SlurmJob]:
    """Read squeue's lines, in the plugin's own format."""
    jobs: dict[str, SlurmJob] = {}
    for line in lines:
        number, state, reason, node, name = line.split("|", 4)
        if not number.isdigit():  # an array of somebody else's
            continue
        job = SlurmJob(int(number), state, reason, node)
        if name not in jobs or jobs[name].number < job.number:
            jobs[name] = job
    return jobs
