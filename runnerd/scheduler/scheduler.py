"""The scheduler: claims queued jobs and carries each to its end."""

import math

import anyio
import structlog
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from runnerd.plugins import FailJob
from runnerd.scheduler.attempt import AttemptCarrier
from runnerd.scheduler.gone import (
    carry_on_for_the_dead,
    release_the_silent,
    stop_what_was_released,
)
from runnerd.scheduler.intake import Intake
from runnerd.scheduler.patience import passes
from runnerd.scheduler.terms import Parts
from runnerd.store import Claim, StaleLease, StoreAway

POLL_SECONDS = 2.0
RETRY_SECONDS = 1.0
ADOPTION_SECONDS = 10.0
SWEEP_SECONDS = 600.0
STRAYS_SECONDS = 30.0
BUG = "runnerd itself failed on this job; its log has the details under this job's id"
_log = structlog.get_logger(__name__)


class Scheduler:
    """Runs until it is cancelled, which leaves running scripts alone."""

    def __init__(self, parts: Parts, intake: Intake) -> None:
        self._parts = parts
        self._intake = intake
        self._store = parts.store
        self._terms = parts.terms
        self._carriers: dict[str, AttemptCarrier] = {}
        self._recovered: list[Claim] = []
        self._carried_attempts: set[str] = set()
        self._looked_at = -math.inf

    async def recover(self) -> int:
        """Take over what an earlier daemon left live; call it before listening.

        Gives the number of jobs that were found.
        """
        self._recovered = await self._store.take_over(self._terms.offer.node)
        return len(self._recovered)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Carry what was recovered, and claim what is queued, for ever.

        It has started once every script that was recovered is adopted, or known to have ended; an
        executor that does not answer is waited for a little, and goes on being asked.
        """
        async with anyio.create_task_group() as group:
            for claim in self._recovered:
                self._start(group, claim)
            with anyio.move_on_after(ADOPTION_SECONDS):
                for carrier in tuple(self._carriers.values()):
                    await carrier.found.wait()
            task_status.started()
            group.start_soon(self._sweep)
            group.start_soon(stop_what_was_released, self._parts, self._carried_attempts)
            group.start_soon(release_the_silent, self._parts, self._intake)
            group.start_soon(carry_on_for_the_dead, self._parts, self._intake)
            with self._store.changes() as changes:
                while True:
                    try:
                        await self._take_strays(group)
                        await self._pass_on_cancels()
                        await self._claim_all(group)
                    except StoreAway as away:
                        _log.warning("the store is away", why=str(away))
                        self._looked_at = -math.inf
                        await anyio.sleep(RETRY_SECONDS)
                        continue
                    await changes.wait(POLL_SECONDS)

    async def _take_strays(self, group: TaskGroup) -> None:
        """Carry jobs of this node that nobody carries: a claim that was not answered, or one
        of a node that was released."""
        due = anyio.current_time() >= self._looked_at + STRAYS_SECONDS
        if not due and not self._intake.given:
            return
        self._intake.given = False
        for claim in await self._store.take_over(self._terms.offer.node, known=self._carriers):
            _log.warning(
                "a stray job is carried on", job_id=claim.job.id, attempt=claim.attempt.number
            )
            self._start(group, claim)
        self._looked_at = anyio.current_time()

    async def _claim_all(self, group: TaskGroup) -> None:
        while not self._intake.draining:
            self._intake.claiming = True
            try:
                claim = await self._store.claim(self._terms.offer)
            finally:
                self._intake.claiming = False
            if claim is None:
                return
            _log.info("job claimed", job_id=claim.job.id, attempt=claim.attempt.number)
            self._start(group, claim)

    def _start(self, group: TaskGroup, claim: Claim) -> None:
        carrier = AttemptCarrier(self._parts, claim)
        self._carriers[claim.job.id] = carrier
        self._carried_attempts.add(claim.attempt.id)
        self._intake.carried = len(self._carriers)
        group.start_soon(self._carry, claim, carrier)

    async def _pass_on_cancels(self) -> None:
        for job_id in await self._store.cancels_requested():
            if job_id in self._carriers:
                self._carriers[job_id].cancel()

    async def _carry(self, claim: Claim, carrier: AttemptCarrier) -> None:
        ended = False
        with structlog.contextvars.bound_contextvars(
            job_id=claim.job.id, attempt=claim.attempt.number
        ):
            while not ended:
                ended = await self._carried(carrier)
                await anyio.sleep(0 if ended else RETRY_SECONDS)
        carrier.found.set()
        self._carried_attempts.discard(claim.attempt.id)
        if self._carriers.get(claim.job.id) is carrier:  # it may be claimed anew by now
            del self._carriers[claim.job.id]
        self._intake.carried = len(self._carriers)

    async def _carried(self, carrier: AttemptCarrier) -> bool:
        """Try once; False asks for another try."""
        try:
            await carrier.carry()
        except StaleLease:
            _log.warning("the lease of a job was lost")
        except FailJob as refusal:
            return await self._gave_up(carrier, str(refusal))
        except Exception as error:  # one job's trouble, ours or a plugin's, must not end the others
            if passes(error):
                _log.warning("a job waits", why=str(error))
                return False
            _log.exception("a job could not be carried on")
            return await self._gave_up(carrier, BUG)
        return True

    async def _gave_up(self, carrier: AttemptCarrier, reason: str) -> bool:
        try:
            await carrier.give_up(reason)
        except StaleLease:
            _log.warning("the lease of a job was lost")
        except Exception as error:  # as above
            if not passes(error):
                _log.exception("a job could not be given up")
            return False
        return True

    async def _sweep(self) -> None:
        while True:
            try:
                removed = await self._parts.environments.sweep()
            except OSError as error:
                _log.warning("old environments could not be removed", why=str(error))
            else:
                if removed:
                    _log.info("environments removed", keys=removed)
            await anyio.sleep(SWEEP_SECONDS)
