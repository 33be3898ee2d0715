"""Slurm's programs: running them within a time limit, and what they say."""

import os
import shutil
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE

import anyio

from runnerd.plugins import BackendAway
from runnerd_slurm.settings import SlurmSettings

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
PROGRAMS = ("sacct", "sbatch", "scancel", "scontrol", "sinfo", "squeue")


@dataclass(frozen=True, slots=True)
class Said:
    """What a program printed. Its status is not told: a daemon may have inherited SIGCHLD ignored,
    and then there is none.
    """

    output: str
    errors: str

    @property
    def reason(self) -> str:
        """The last line of its errors, without the program's name."""
        lines = [line for line in self.errors.splitlines() if line.strip()]
        return lines[-1].partition("error: ")[2] or lines[-1] if lines else "it said nothing"


class Programs:
    """Runs Slurm's programs with the settings' configuration, and nothing of the daemon's."""

    def __init__(self, settings: SlurmSettings) -> None:
        self._seconds = settings.command_seconds
        self._path = settings.programs or os.environ.get("PATH", DEFAULT_PATH)
        self._conf = settings.conf or os.environ.get("SLURM_CONF", "")

    def missing(self) -> list[str]:
        """Give the programs that are not installed."""
        return [name for name in PROGRAMS if shutil.which(name, path=self._path) is None]

    async def run(
        self, program: str, *arguments: str, given: str | None = None, seconds: float | None = None
    ) -> Said:
        """Run a program to its end; raises ``BackendAway`` where it can't be, or takes too long.

        ``given`` is its standard input, ``seconds`` another limit than the settings'.
        """
        limit = self._seconds if seconds is None else seconds
        # Slurm itself would look for it for a minute.
        if self._conf and not await anyio.Path(self._conf).is_file():
            raise BackendAway(f"there is no {self._conf}: set [plugins.slurm] conf to slurm.conf")
        variables = {"PATH": self._path, "LC_ALL": "C"}
        if self._conf:
            variables["SLURM_CONF"] = self._conf
        try:
            with anyio.fail_after(limit):
                done = await anyio.run_process(
                    [shutil.which(program, path=self._path) or program, *arguments],
                    input=None if given is None else given.encode(),
                    stdin=DEVNULL if given is None else None,
                    stderr=PIPE,
                    check=False,
                    env=variables,
                    start_new_session=True,
                )
        except TimeoutError:
            raise BackendAway(f"Slurm's {program} gave no answer in {limit:g} seconds") from None
        except OSError as error:
            raise BackendAway(f"Slurm's {program} can't be run: {error}") from error
        return Said(done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
