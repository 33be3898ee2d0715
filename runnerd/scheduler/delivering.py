"""Seeing a finished script's artifacts into the storage, and coming back to that on a retry."""

from collections.abc import Mapping
from typing import Any

import anyio
import structlog

from runnerd.delivery import Delivery
from runnerd.plugins import BackendAway
from runnerd.store import Claim, Makings, Store

KIND = "undelivered"
POLL_SECONDS = 0.5
MOST_NAMED = 1000
_log = structlog.get_logger(__name__)


async def made_in(store: Store, claim: Claim) -> int:
    """Give the attempt whose script made what this one ends with: itself, or an earlier one.

    An earlier one where the attempt before this ended with artifacts that were not delivered.
    """
    unfinished = await _left_undelivered(store, claim)
    return claim.attempt.number if unfinished is None else int(unfinished["made_in"])


async def deliver(
    store: Store, delivery: Delivery, claim: Claim, makings: Makings, seconds: float
) -> str | None:
    """Wait for what the job's runs logged to arrive; None once it has, else why it has not.

    What is missing then is noted in the job's history, for the attempt that delivers it.
    """
    owners = [run.run_id for run in makings.runs] + [model.model_id for model in makings.models]
    earlier = (await _left_undelivered(store, claim)) or {}
    elsewhere: dict[str, int] = dict(earlier.get("artifacts", {}))
    missing: Mapping[str, int] = {}
    with anyio.move_on_after(seconds):
        while True:
            missing = await _missing(delivery, owners, elsewhere)
            if not missing:
                return None
            await anyio.sleep(POLL_SECONDS)
    node = earlier.get("node", claim.attempt.node)
    told = {
        "made_in": earlier.get("made_in", claim.attempt.number),
        "node": node,
        "artifacts": dict(list(missing.items())[:MOST_NAMED]),
    }
    reason = (
        f"the script ended well, but {len(missing)} of its artifacts ({sum(missing.values())} "
        f"bytes) could not be delivered to the storage: {delivery.trouble}. They are kept on the "
        f"node {node!r} and delivered when that is mended; then `runnerd retry {claim.job.id}` "
        "completes the job without training again"
    )
    await store.note_event(claim, KIND, reason, told)
    return reason


async def _missing(
    delivery: Delivery, owners: list[str], elsewhere: dict[str, int]
) -> dict[str, int]:
    """Give what waits here, and what another node still keeps."""
    missing = delivery.waiting(owners)
    for key, size in list(elsewhere.items()):
        if key in missing:
            continue
        try:
            arrived = await delivery.is_delivered(key, size)
        except BackendAway as away:
            _log.debug("it can't be told what has arrived", why=str(away))
            return {**elsewhere, **missing}
        if arrived:
            del elsewhere[key]
    return {**elsewhere, **missing}


async def _left_undelivered(store: Store, claim: Claim) -> Mapping[str, Any] | None:
    events = await store.events(claim.job.id)
    for event in reversed(events):
        if event.kind == KIND and event.attempt == claim.attempt.number - 1:
            return event.data
    return None
