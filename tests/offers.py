"""What tests claim for."""

from collections.abc import Mapping

from runnerd.jobs import Capacity
from runnerd.store import Offer


def offer(
    node: str = "here",
    slots: int = 1,
    *,
    cpus: float | None = None,
    memory_bytes: int | None = None,
    gpus: tuple[int, ...] | None = None,
    limits: Mapping[str, int] | None = None,
) -> Offer:
    """Give a node's offer, without limits but those that are named."""
    return Offer(node, "subprocess", Capacity(slots, cpus, memory_bytes, gpus), limits or {})
