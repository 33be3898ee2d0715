"""What tests claim for."""

from collections.abc import Mapping

from runnerd.jobs import Abilities, Capacity, NodeExecutors, Resources
from runnerd.store import Offer

SUBPROCESS = NodeExecutors(default="subprocess", opened={"subprocess": Abilities()})
BOTH = NodeExecutors(
    default="subprocess",
    opened={
        "subprocess": Abilities(),
        "docker": Abilities(images=True, most=Resources(cpus=2, memory_bytes=2**30)),
    },
)


def offer(
    node: str = "here",
    slots: int = 1,
    *,
    cpus: float | None = None,
    memory_bytes: int | None = None,
    gpus: tuple[int, ...] | None = None,
    limits: Mapping[str, int] | None = None,
    executors: NodeExecutors = SUBPROCESS,
) -> Offer:
    """Give a node's offer, without limits but those that are named."""
    return Offer(node, executors, Capacity(slots, cpus, memory_bytes, gpus), limits or {})
