"""One attempt at a job, carried from where it stands to its end.

Every step begins from what the store says, so that a step that was interrupted, by the daemon's
death or by a backend that went away, is simply taken again.
"""

import random
from dataclasses import replace

import anyio
import structlog

from runnerd.environments import IndexAway, Unresolvable
from runnerd.jobs import (
    NODE_RELEASED,
    Cause,
    EnvironmentPlan,
    Handle,
    JobState,
    Outcome,
    diagnose,
    retry_delay,
    script_fault,
    should_park,
    should_retry,
)
from runnerd.plugins import (
    BackendAway,
    Executor,
    FailJob,
    Failure,
    LaunchRequest,
    Progress,
    Registration,
    ResolvedEnvironment,
    Verdict,
)
from runnerd.scheduler.archive import archive_log
from runnerd.scheduler.beside import beside
from runnerd.scheduler.delivering import deliver, made_in
from runnerd.scheduler.finish import Result, close_runs, collect, took
from runnerd.scheduler.patience import answered, passes
from runnerd.scheduler.terms import Parts
from runnerd.scheduler.variables import script_variables
from runnerd.store import Claim

RESOLVE_TRIES = 3
RETRY_SECONDS = 2.0
_chance = random.SystemRandom()
_log = structlog.get_logger(__name__)


class AttemptCarrier:
    """Carries one claim. ``cancel`` may be called at any moment, also more than once.

    ``found`` is set once it is known what became of the script that an earlier daemon launched.
    """

    def __init__(self, parts: Parts, claim: Claim) -> None:
        self._store = parts.store
        self._storage = parts.storage
        self._delivery = parts.delivery
        self._executors = parts.executors
        self._tracker = parts.tracker
        self._environments = parts.environments
        self._terms = parts.terms
        self._listeners = parts.listeners
        self._claim = claim
        self._cancelled = anyio.Event()
        self.found = anyio.Event()
        self._state = claim.job.state
        self._adopting = False

    def cancel(self) -> None:
        """Ask for the attempt's end."""
        self._cancelled.set()

    async def carry(self) -> None:
        """Take the attempt to its end.

        Raises ``StoreAway`` and ``BackendAway`` (call again), and ``StaleLease``.
        """
        self._claim = await self._store.get_claim(self._claim)
        self._state = self._claim.job.state
        if self._claim.job.cancel_requested_at is not None:
            self.cancel()
        if self._state is JobState.FINISHING:
            self.found.set()
            await self._finish(await self._recorded_outcome())
            return
        if self._claim.attempt.node != self._terms.offer.node:
            self.found.set()
            await self._settle(Outcome(Cause.LOST, detail=NODE_RELEASED), None)
            return
        adopted = await self._adopted()
        self.found.set()
        if adopted is None and await self._made_in() != self._claim.attempt.number:
            await self._settle(await self._recorded_outcome(), None)
            return
        handle = adopted or await self._launched()
        if handle is not None:
            await self._settle(await self._watch(handle), handle)

    async def _made_in(self) -> int:
        return await made_in(self._store, self._claim)

    async def _settle(self, outcome: Outcome, handle: Handle | None) -> None:
        if self._is_retried(outcome):
            await self._requeue(outcome, handle)
            return
        await self._store.mark_finishing(self._claim, self._state, outcome)
        self._state = JobState.FINISHING
        await self._finish(outcome)

    async def give_up(self, reason: str) -> None:
        """Stop whatever runs and fail the job: runnerd itself can't carry it."""
        self._claim = claim = await self._store.get_claim(self._claim)
        if self._handle is not None:
            await self._stop_if_it_can_be(self._handle)
        await self._store.finish(claim, claim.job.state, JobState.FAILED, error=reason)

    @property
    def _executor(self) -> Executor:
        return self._executors.of(self._claim.attempt)

    @property
    def _handle(self) -> Handle | None:
        """Where the attempt is found; None if it never was, or was on a node that is gone."""
        attempt = self._claim.attempt
        return attempt.handle if attempt.node == self._terms.offer.node else None

    async def _stop_if_it_can_be(self, handle: Handle) -> None:
        try:
            await answered(self._executor.stop(handle, Cause.LAUNCH_FAILED), "stop an attempt")
        except Exception as error:  # what the executor can't stop must still get its end
            if passes(error):
                raise
            _log.exception("an attempt could not be stopped")

    async def _adopted(self) -> Handle | None:
        """Find what an earlier daemon launched; None where the script never ran."""
        handle = self._handle
        if handle is None:
            return None
        verdict = await answered(self._executor.adopt(handle), "adopt an attempt")
        self._adopting = verdict is not Verdict.NEVER_RAN
        _log.info("adopted an attempt", verdict=verdict.value)
        never_ran = verdict is Verdict.NEVER_RAN and self._state is JobState.PREPARING
        return None if never_ran else handle

    async def _launched(self) -> Handle | None:
        """Prepare and launch; None where the job ended before that."""
        plan = await self._plan()
        if plan is None:
            return None
        claim, specification = self._claim, self._claim.job.specification
        folder = self._terms.jobs_dir / claim.job.id / str(claim.attempt.number)
        await anyio.Path(folder).mkdir(parents=True, exist_ok=True, mode=0o700)
        self._listeners.environment_resolved(
            ResolvedEnvironment(claim.job.id, plan.key, plan.python_version, plan.lock)
        )
        handle = self._executor.handle_for(claim.attempt.id, folder)
        secret = await self._store.note_launch(claim, handle, plan.key)
        self._claim = await self._store.get_claim(claim)
        request = LaunchRequest(
            attempt_id=claim.attempt.id,
            folder=folder,
            script_name=specification.script_name,
            script=specification.script,
            environment=plan,
            timeout=specification.timeout,
            grace_seconds=self._terms.grace_seconds,
            log_limit=self._terms.log_limit,
            variables=script_variables(
                claim.job,
                origin=self._terms.origin,
                secret=secret,
                passed=self._terms.passed,
                daemon=self._terms.daemon_variables,
                gpus=claim.attempt.gpus,
            ),
            resources=specification.resources,
            gpus=claim.attempt.gpus,
            image=specification.image,
        )
        try:
            return await answered(self._executor.launch(request), "launch an attempt")
        except FailJob as refusal:
            await self._end(JobState.FAILED, f"the job could not be launched: {refusal}")
            return None

    async def _plan(self) -> EnvironmentPlan | None:
        """Resolve the environment; None where the job ended instead."""
        fault = script_fault(self._claim.job.specification)
        if fault is not None:
            await self._end(JobState.FAILED, fault)
            return None
        plan: EnvironmentPlan | None = None
        error: str | None = None
        index_away: IndexAway | None = None
        with anyio.CancelScope() as scope:
            async with beside(self._cancel_scope(scope)):
                try:
                    plan = await self._resolve()
                except Unresolvable as reason:
                    error = f"the requirements could not be resolved: {reason}"
                except IndexAway as away:
                    index_away = away
        if self._cancelled.is_set():
            await self._end(JobState.CANCELLED, "cancelled on request")
        elif error is not None:
            await self._end(JobState.FAILED, error)
        elif index_away is not None:
            await self._settle(Outcome(Cause.INDEX_AWAY, detail=str(index_away)), None)
        return None if self._cancelled.is_set() else plan

    async def _cancel_scope(self, scope: anyio.CancelScope) -> None:
        await self._cancelled.wait()
        scope.cancel()

    async def _resolve(self) -> EnvironmentPlan:
        requirements = self._claim.job.specification.requirements
        for _ in range(RESOLVE_TRIES - 1):
            try:
                return await self._environments.resolve(requirements)
            except IndexAway as away:
                _log.warning("the package index is away", why=str(away))
                await anyio.sleep(RETRY_SECONDS)
        return await self._environments.resolve(requirements)

    async def _watch(self, handle: Handle) -> Outcome:
        building = self._adopting
        async with beside(self._stop_when_cancelled(handle)):
            async for seen in self._executor.watch(handle):
                if seen.progress is Progress.BUILDING and not building:
                    building = True
                    await self._store.note_event(self._claim, "building_environment")
                elif seen.progress is Progress.RUNNING and self._state is JobState.PREPARING:
                    await self._store.mark_running(self._claim, seen.at)
                    self._state = JobState.RUNNING
                elif seen.outcome is not None:
                    return self._in_words(seen.outcome)
        return Outcome(Cause.LOST)

    def _in_words(self, outcome: Outcome) -> Outcome:
        if outcome.cause is not Cause.BUILD_FAILED:
            return outcome
        return replace(outcome, detail=self._environments.reason_of(outcome.detail))

    def _was_cancelled(self, outcome: Outcome) -> bool:
        lost = outcome.cause is Cause.LOST and self._cancelled.is_set()
        return outcome.cause is Cause.CANCELLED or lost

    def _is_retried(self, outcome: Outcome) -> bool:
        job = self._claim.job
        return not self._cancelled.is_set() and should_retry(
            outcome, self._terms.retry_on, job.retries, job.specification.max_retries
        )

    async def _requeue(self, outcome: Outcome, handle: Handle | None) -> None:
        job = self._claim.job
        error = diagnose(outcome, job.specification, "") or ""
        delay = retry_delay(self._terms.retry_seconds, job.retries, _chance.random())
        if handle is not None:
            await archive_log(self._storage, self._executor, self._claim.attempt)
            await self._executor.release(handle)
        await self._store.requeue(self._claim, self._state, outcome, error=error, delay=delay)
        _log.warning("job is tried again", why=error, seconds=round(delay, 1))

    async def _stop_when_cancelled(self, handle: Handle) -> None:
        await self._cancelled.wait()
        stopped = False
        while not stopped:
            try:
                await answered(self._executor.stop(handle, Cause.CANCELLED), "stop an attempt")
                stopped = True
            except Exception as error:
                if not passes(error):
                    raise
                await anyio.sleep(RETRY_SECONDS)

    async def _recorded_outcome(self) -> Outcome:
        events = await self._store.events(self._claim.job.id)
        ended = [event for event in events if event.kind == "ended"][-1]
        return Outcome(
            cause=Cause(ended.data["cause"]),
            exit_code=ended.data["exit_code"],
            signal=ended.data["signal"],
            detail=ended.reason,
            script_started_at=ended.data["script_started_at"],
            ended_at=ended.data["ended_at"],
        )

    async def _finish(self, outcome: Outcome) -> None:
        job = self._claim.job
        tail = await self._log_tail()
        error = await self._diagnosis(outcome, tail)
        state = JobState.COMPLETED if outcome.succeeded else JobState.FAILED
        if self._was_cancelled(outcome):
            state = JobState.CANCELLED
        times = [anyio.current_time()]
        if self._handle is not None:
            await archive_log(self._storage, self._executor, self._claim.attempt)
        times.append(anyio.current_time())
        result = await self._collect_in_time(outcome)
        times.append(anyio.current_time())
        if result.error is not None and state is JobState.COMPLETED:
            state = JobState.FAILED
        error = error or result.error
        parked = state is JobState.FAILED and should_park(
            outcome, self._terms.retry_on, job.retries
        )
        if parked:
            error = f"{error}; parked after {job.attempt} attempts: release it once that is mended"
        await self._end(state, error, result, parked=parked, told=took(*times))
        handle = self._handle
        if handle is not None:
            await answered(self._executor.release(handle), "release an attempt")

    async def _diagnosis(self, outcome: Outcome, tail: str) -> str | None:
        job = self._claim.job
        error = diagnose(outcome, job.specification, tail)
        if error is None or self._was_cancelled(outcome):
            return error
        return await self._listeners.diagnosis(Failure(job.id, outcome, tail, error))

    async def _collect_in_time(self, outcome: Outcome) -> Result:
        """Settle the job with the tracker, however often it goes away, within the bound."""
        every = await self._store.makings(self._claim.job.id)
        number = await self._made_in()
        makings = every.of_attempt(number)
        if not every.runs:
            return await collect(
                self._tracker, self._claim.job, makings, register=outcome.succeeded
            )
        if outcome.succeeded and self._delivery is not None:
            late = await deliver(
                self._store, self._delivery, self._claim, makings, self._terms.finish_timeout
            )
            if late is not None:
                return Result(run_id=makings.runs[0].run_id if makings.runs else None, error=late)
        last = "no answer"
        with anyio.move_on_after(self._terms.finish_timeout):
            while True:
                try:
                    await close_runs(self._tracker, every, outcome, number)
                    return await collect(
                        self._tracker, self._claim.job, makings, register=outcome.succeeded
                    )
                except BackendAway as away:
                    last = str(away)
                    await anyio.sleep(away.retry_after)
        return Result(
            run_id=makings.runs[0].run_id if makings.runs else None,
            error=f"the tracking server stayed away while the job was being finished: {last}",
        )

    async def _log_tail(self) -> str:
        handle = self._handle
        if handle is None:
            return ""
        size = await answered(self._executor.log_size(handle), "find a log")
        start = max(0, size - self._terms.log_tail)
        tail = await answered(
            self._executor.read_log(handle, start, self._terms.log_tail), "read a log"
        )
        return tail.decode(errors="replace")

    async def _end(
        self,
        state: JobState,
        error: str | None,
        result: Result | None = None,
        *,
        parked: bool = False,
        told: dict[str, float] | None = None,
    ) -> None:
        result = result or Result()
        await self._store.finish(
            self._claim,
            self._state,
            state,
            error=error,
            run_id=result.run_id,
            model_version=result.model_version,
            warnings=result.warnings,
            parked=parked,
            told=told,
        )
        self._state = state
        if result.model_version is not None:
            name = self._claim.job.specification.model_name
            made = Registration(name, result.model_version, result.run_id, self._claim.job.id)
            self._listeners.model_registered(made)
        _log.info("job ended", state=state.value, error=error)
