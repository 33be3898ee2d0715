"""How much waits and who is there, as one count of the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from runnerd.store import NodeRecord, QueueDepth, Store


@dataclass(frozen=True, slots=True)
class Depths:
    """What was counted ``at`` a moment: jobs by queue, since when each queue's longest waiting
    job waits, parked jobs, and the nodes that share the database."""

    at: datetime
    queues: Mapping[str, QueueDepth]
    oldest: Mapping[str, datetime]
    parked: int
    nodes: Sequence[NodeRecord]


async def count_depths(store: Store) -> Depths:
    """Count. Raises ``StoreAway``."""
    return Depths(
        queues=await store.queue_depths(),
        oldest=await store.oldest_waiting(),
        parked=await store.count_parked(),
        nodes=await store.list_nodes(),
        at=datetime.now(UTC),
    )
