"""What the executors of a node can do for a job, as every daemon may know it."""

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from runnerd.jobs.resources import Resources


class Abilities(BaseModel):
    """What one executor can do.

    ``images`` tells that it runs a job in an image of the job's choice. ``most`` is the most that
    it can give to one job, None where nothing but its node limits that. ``engine`` is the identity
    of an engine that other nodes reach too, None where attempts belong to the node.
    """

    model_config = ConfigDict(frozen=True)

    images: bool = False
    most: Resources | None = None
    engine: str | None = None

    def can_give(self, asked: Resources) -> bool:
        """Tell whether a job that asks for this could ever run here."""
        return self.most is None or (
            asked.cpus <= self.most.cpus
            and asked.memory_bytes <= self.most.memory_bytes
            and asked.gpus <= self.most.gpus
        )


class NodeExecutors(BaseModel):
    """The executors that a node's daemon has opened, by name.

    ``default`` runs the jobs that name none.
    """

    default: str
    opened: dict[str, Abilities]

    def named(self, executor: str | None) -> Abilities | None:
        """Give the abilities of an executor, of the default for None; None where it has none."""
        return self.opened.get(executor or self.default)

    def can_run(self, executor: str | None, asked: Resources) -> bool:
        """Tell whether a job that names this executor, or none, could ever run on the node."""
        abilities = self.named(executor)
        return abilities is not None and abilities.can_give(asked)

    def by_engine(self) -> dict[str, str]:
        """Name those whose engine other nodes reach too, by the engine's identity."""
        return {able.engine: name for name, able in sorted(self.opened.items()) if able.engine}

    def in_words(self) -> str:
        """Name them, and what each can give where that is known: ``docker (at most 2 CPUs)``."""
        return ", ".join(
            name + (f" (at most {able.most.in_words()})" if able.most else "")
            for name, able in sorted(self.opened.items())
        )


def names_of(nodes: Iterable[NodeExecutors]) -> list[str]:
    """List the executors that any of these nodes has, sorted."""
    return sorted({name for node in nodes for name in node.opened})
