"""Whether jobs can be given to Slurm now."""

from runnerd.plugins import Condition, Health
from runnerd_slurm.programs import Programs
from runnerd_slurm.settings import SlurmSettings

SECONDS = 4.0
FORMAT = "%R|%a|%t|%D"
# sinfo's short words for nodes that take jobs or will when they have room.
USABLE = frozenset({"alloc", "comp", "idle", "mix", "npc", "plnd", "resv"})


async def health_of(programs: Programs, settings: SlurmSettings) -> Health:
    """Ask for the partition. Raises ``BackendAway`` where Slurm can't be asked."""
    said = await programs.run("sinfo", f"--format={FORMAT}", seconds=SECONDS)
    heading, *lines = said.output.splitlines() or [""]
    if not heading.startswith("PARTITION|"):
        return Health(Condition.UNHEALTHY, f"Slurm does not answer: {said.reason}")
    rows = [line.split("|") for line in lines]
    known = sorted({row[0] for row in rows})
    chosen = [row for row in rows if settings.partition in ("", row[0])]
    if not chosen:
        return Health(
            Condition.UNHEALTHY,
            f"Slurm has no partition {settings.partition!r}: set [plugins.slurm] partition to one "
            f"of {', '.join(known)}",
        )
    where = f"the partition {settings.partition}" if settings.partition else "Slurm"
    ready = [row for row in chosen if row[1] == "up" and row[2].rstrip("~#$@+^-") in USABLE]
    if not ready:
        states = ", ".join(sorted({f"{row[3]} {row[2]}" for row in chosen}))
        return Health(
            Condition.UNHEALTHY, f"no node of {where} takes jobs ({states}): see `sinfo -R`"
        )
    return Health(Condition.HEALTHY, f"{where} answers, and has nodes that take jobs")
