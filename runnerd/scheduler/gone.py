"""Nodes that are gone: who takes their jobs, by which policy, and what they stop on return."""

from collections.abc import Collection, Sequence
from datetime import datetime

import anyio
import structlog

from runnerd.jobs import Attempt, Cause
from runnerd.plugins import FailJob, Verdict
from runnerd.scheduler.intake import Intake
from runnerd.scheduler.patience import answered, passes
from runnerd.scheduler.terms import Parts
from runnerd.store import NodeAlive, NodeNotFound, NodeRecord, StoreAway

LOOK_SECONDS = 5.0
STOPPING_SECONDS = 1.0
# So often in a row a node must be seen not to move, beside the time of the policy: where the
# database was away for everybody, those who live are seen again before that.
LOOKS = 7
# What an engine still has is found there, whoever looks: two missed heartbeats are enough.
SHARED_LOOKS = 3
POLICY = "nodes.release_after_seconds of the node {node!r}"
_log = structlog.get_logger(__name__)


async def stop_what_was_released(parts: Parts, carried: Collection[str]) -> None:
    """Stop what is left of attempts that were taken from this data folder; runs until cancelled.

    ``carried`` are the ids of the attempts that the daemon has in hand: one that was taken while
    it was being launched is known to be over only when its carrier has let go of it.
    """
    while True:
        left = 0
        try:
            for attempt in await parts.store.released_in(parts.terms.place):
                with structlog.contextvars.bound_contextvars(
                    job_id=attempt.job_id, attempt=attempt.number
                ):
                    left += not await _is_over(parts, attempt, attempt.id in carried)
        except Exception as error:
            if not passes(error):
                raise
            _log.warning("released attempts wait", why=str(error))
        await anyio.sleep(STOPPING_SECONDS if left else LOOK_SECONDS)


async def _is_over(parts: Parts, attempt: Attempt, in_hand: bool) -> bool:
    """Stop an attempt, unless nothing of it is left: then forget that it was taken."""
    handle, executor = attempt.handle, parts.executors.opened.get(attempt.executor)
    if handle is not None and executor is None:
        why = f"the executor {attempt.executor!r} is not open here"
        _log.error("a released attempt can't be stopped", attempt=attempt.id, why=why)
        return False
    if handle is not None and executor is not None:
        try:
            verdict = await answered(executor.adopt(handle), "find a released attempt")
            if verdict is Verdict.ADOPTED:
                _log.warning("an attempt of a released node is stopped")
                await answered(executor.stop(handle, Cause.LOST), "stop a released attempt")
            if verdict is Verdict.ADOPTED or in_hand:
                return False
            await answered(executor.release(handle), "release a released attempt")
        except FailJob as refusal:
            _log.error("a released attempt can't be stopped", why=str(refusal))
            return False
    await parts.store.forget_released(attempt)
    return True


class Vigil:
    """Counts how often in a row each node that is away was seen not to move.

    One is told once it was ``enough`` looks.
    """

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._looks: dict[str, tuple[datetime, int]] = {}

    def forget(self) -> None:
        """Begin anew: something kept this daemon from looking."""
        self._looks = {}

    def look(self, nodes: Sequence[NodeRecord]) -> list[str]:
        """Give the names of those with live jobs that were silent long enough."""
        looks = {}
        for node in nodes:
            seen_at, count = self._looks.get(node.name, (node.seen_at, 0))
            if not node.alive and node.live_jobs:
                looks[node.name] = (node.seen_at, count + 1 if seen_at == node.seen_at else 1)
        self._looks = looks
        return [name for name, (_, count) in looks.items() if count >= self._enough]


async def release_the_silent(parts: Parts, intake: Intake) -> None:
    """Release nodes that were not seen for the stated time; runs until it is cancelled."""
    terms, vigil = parts.terms, Vigil(LOOKS)
    while terms.release_after is not None:
        try:
            for name in vigil.look(await parts.store.list_nodes()):
                await _release(parts, intake, name, terms.release_after)
        except StoreAway:
            vigil.forget()
        await anyio.sleep(LOOK_SECONDS)


async def _release(parts: Parts, intake: Intake, name: str, after: float) -> None:
    node = parts.terms.offer.node
    try:
        done = await parts.store.release_node(
            name, by=POLICY.format(node=node), keeper=node, silent_seconds=after
        )
    except (NodeAlive, NodeNotFound):
        return
    intake.given = True
    _log.warning("a silent node was released", node=name, jobs=list(done.jobs))


async def carry_on_for_the_dead(parts: Parts, intake: Intake) -> None:
    """Take jobs whose node died from engines that this node reaches too; runs until cancelled."""
    node, vigil = parts.terms.offer.node, Vigil(SHARED_LOOKS)
    while True:
        engines = parts.executors.offered.by_engine()
        try:
            dead = vigil.look(await parts.store.list_nodes()) if engines else []
            if dead and (taken := await parts.store.take_from_the_dead(dead, node, engines)):
                intake.given = True
                _log.warning("jobs of dead nodes are carried on", nodes=dead, jobs=taken)
        except StoreAway:
            vigil.forget()
        await anyio.sleep(LOOK_SECONDS)
