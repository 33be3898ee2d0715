"""Following one attempt in the cluster from where it stands to its end.

What happens is read from the container's log, through which the runner tells its steps and its
end; the cluster's own words matter where that is not to be had: before the container starts, and
where it went without telling.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import structlog
from anyio import to_thread

from runnerd.executors.kubernetes import reasons, records
from runnerd.executors.kubernetes.api import (
    EVENTS,
    JOBS,
    PODS,
    SECRETS,
    ApiRefuses,
    Object,
    Resource,
)
from runnerd.executors.kubernetes.frames import Frames
from runnerd.executors.kubernetes.handle import Place
from runnerd.executors.kubernetes.manifests import CONTAINER
from runnerd.executors.kubernetes.namespace import Namespace
from runnerd.jobs import Cause, Outcome
from runnerd.plugins import BackendAway, Observation, OutOfSpace, Progress
from runnerd.plugins.records import number, outcome_in, output_size

FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
# So long after the pod has ended its log is asked for, where it breaks off before the end.
LOG_SECONDS = 30.0
LOST_OUTPUT = "[runnerd: the node dropped {size} bytes of output here before they were read]"
_log = structlog.get_logger(__name__)


class Follower:
    """Follows one attempt. ``run`` ends with the attempt; ``watch`` tells what it saw so far."""

    def __init__(self, place: Place, namespace: Namespace) -> None:
        self._place = place
        self._namespace = namespace
        self._pod: Object | None = None
        self._seen: list[Observation] = []
        self._news = anyio.Event()
        self._changed = anyio.Event()
        self._size = 0
        self._recorded = False
        self._taken = False
        self._failed: Exception | None = None

    def poke(self) -> None:
        """Look again: the Job or its pod has changed."""
        self._changed.set()

    @property
    def pod(self) -> Object | None:
        """The pod as it was last seen; None where there was none yet."""
        found = self._namespace.pods.of(self._place.name)
        if self._pod is None:
            return found[0] if found else None
        uid = self._pod["metadata"]["uid"]
        return next((pod for pod in found if pod["metadata"]["uid"] == uid), None)

    @property
    def _job(self) -> Object | None:
        return next(iter(self._namespace.jobs.of(self._place.name)), None)

    async def watch(self) -> AsyncIterator[Observation]:
        """Yield everything seen, from the first on, up to and with the end."""
        told = 0
        while True:
            news = self._news
            while told < len(self._seen):
                told += 1
                yield self._seen[told - 1]
                if self._seen[told - 1].progress is Progress.ENDED:
                    return
            if self._failed is not None:
                raise BackendAway(f"an attempt can't be followed: {self._failed}")
            await news.wait()

    async def run(self) -> None:
        """Follow the attempt to its end and keep that."""
        try:
            self._size = await to_thread.run_sync(output_size, self._place.attempt)
            outcome = await self._until_started() or await self._until_ended()
            await to_thread.run_sync(self._keep, outcome)
            if not self._recorded:
                await self._delete(JOBS)
        except Exception as error:
            _log.exception("an attempt can't be followed", attempt=self._place.attempt_id)
            self._failed = error
            self._tell()
            raise
        ended = time.time() if outcome.ended_at is None else outcome.ended_at
        self._tell(Observation(Progress.ENDED, ended, outcome))

    def _keep(self, outcome: Outcome) -> None:
        records.keep_end(self._place, outcome, recorded=self._recorded)

    def _tell(self, *observations: Observation) -> None:
        self._seen.extend(observations)
        self._news.set()
        self._news = anyio.Event()

    async def _until_started(self) -> Outcome | None:
        """Wait for the container to start; gives the end of an attempt whose script never did."""
        while True:
            self._changed = anyio.Event()
            job, pod = self._job, self.pod
            if reasons.has_started(pod):
                self._pod = pod
                return None
            left = self._seconds_left(job)
            outcome = await self._end_before_start(job, pod, late=left <= 0)
            if outcome is not None:
                return outcome
            with anyio.move_on_after(left if left != float("inf") else None):
                await self._changed.wait()

    def _seconds_left(self, job: Object | None) -> float:
        if job is not None and reasons.is_suspended(job):
            return float("inf")
        began = None if job is None else reasons.began(job)
        if began is None:
            return self._namespace.start_deadline
        return began + self._namespace.start_deadline - time.time()

    async def _end_before_start(
        self, job: Object | None, pod: Object | None, *, late: bool
    ) -> Outcome | None:
        cause = await to_thread.run_sync(records.stop_cause, self._place)
        if job is None and pod is None:
            words = "its Job was deleted from the cluster before the script started"
            return Outcome(Cause.LOST, detail=words) if cause is None else Outcome(cause)
        if words := reasons.hopeless(pod):
            return Outcome(Cause.LAUNCH_FAILED, detail=words)
        if pod is not None and pod.get("status", {}).get("phase") == "Failed":
            events = await self._events(pod)
            words = reasons.disruption(pod, events) or "the pod failed before its container started"
            return Outcome(cause or Cause.LOST, detail=words)
        if late or reasons.missed_deadline(job):
            return Outcome(cause or Cause.LAUNCH_FAILED, detail=await self._late(job, pod))
        return None

    async def _late(self, job: Object | None, pod: Object | None) -> str:
        trouble = self._namespace.trouble
        if trouble:
            return f"the script did not start, and the cluster can't be watched: {trouble}"
        events = await self._events(job) + (await self._events(pod) if pod is not None else [])
        seconds = self._namespace.start_deadline
        return (
            f"{reasons.not_started(job, pod, events)} "
            f"(waited {seconds:g} seconds, plugins.kubernetes.start_deadline)"
        )

    async def _events(self, item: Object | None) -> list[Object]:
        """Ask for what happened to an object; nothing where that can't be had."""
        if item is None:
            return []
        of_item = f"involvedObject.uid={item['metadata']['uid']}"
        try:
            found = await self._namespace.api.get(
                self._namespace.path(EVENTS), fieldSelector=of_item
            )
        except (BackendAway, ApiRefuses) as error:
            _log.warning("the events of an attempt can't be read", why=str(error))
            return []
        return list(found.get("items") or ())

    async def _until_ended(self) -> Outcome:
        """Read the log to the record of the end, or until the pod is known to leave none."""
        pause, since = FIRST_PAUSE, time.monotonic()
        while True:
            self._changed = anyio.Event()
            over = reasons.is_over(self.pod)
            if not over or self._namespace.trouble:  # a log that nobody could have given
                since = time.monotonic()
            outcome, whole = await self._read_log()
            if outcome is not None:
                self._recorded = True
                return await self._in_words(outcome)
            if over and (whole or self.pod is None or time.monotonic() - since > LOG_SECONDS):
                return await self._without_record()
            with anyio.move_on_after(pause):
                await self._changed.wait()
            pause = FIRST_PAUSE if whole else min(2 * pause, LONGEST_PAUSE)

    async def _without_record(self) -> Outcome:
        """Say what can be said of a container that did not tell its end in the log."""
        pod = self.pod or self._pod
        left = reasons.left_message(pod)
        if left is not None:
            self._recorded = True
            return await self._in_words(left)
        events = await self._events(pod)
        outcome = reasons.end_without_record(self._job, self.pod, events)
        started = [seen.at for seen in self._seen if seen.progress is Progress.RUNNING]
        cause = await to_thread.run_sync(records.stop_cause, self._place)
        return replace(
            outcome,
            cause=cause or outcome.cause,
            script_started_at=started[0] if started else outcome.script_started_at,
        )

    async def _in_words(self, outcome: Outcome) -> Outcome:
        """Say why, where the container was ended from outside: the runner can't know."""
        if outcome.cause is not Cause.LOST:
            return outcome
        cause = await to_thread.run_sync(records.stop_cause, self._place)
        if cause is not None:
            return replace(outcome, cause=cause)
        if reasons.missed_deadline(self._job):
            return replace(outcome, cause=Cause.TIMEOUT)
        pod = self.pod
        words = reasons.disruption(pod, await self._events(pod or self._pod))
        return replace(outcome, detail=words or outcome.detail or reasons.DELETED)

    async def _read_log(self) -> tuple[Outcome | None, bool]:
        """Read the log from its beginning; gives the end if it was told, and whether it was read.

        Being read and without an end means that the container ended without telling it.
        """
        assert self._pod is not None  # noqa: S101  # it has started
        path = self._namespace.path(PODS, self._pod["metadata"]["name"], "log")
        frames, outcome = Frames(), None
        query = {"follow": "true", "container": CONTAINER}
        try:
            async with self._namespace.api.stream(path, query) as pieces:
                async for piece in pieces:
                    for told in frames.feed(piece):
                        if isinstance(told, tuple):
                            await self._keep_output(*told)
                        else:
                            outcome = await self._take(told) or outcome
        except (BackendAway, ApiRefuses, OutOfSpace) as error:
            _log.info("a log breaks off", attempt=self._place.attempt_id, why=str(error))
            return outcome, False
        return outcome, True

    async def _keep_output(self, start: int, content: bytes) -> None:
        if start > self._size:
            note = LOST_OUTPUT.format(size=start - self._size).encode()
            room = start - self._size - 1
            filled = note[:room].ljust(room) + b"\n"
            await to_thread.run_sync(records.add_output, self._place, self._size, filled)
        if start + len(content) > self._size:
            await to_thread.run_sync(records.add_output, self._place, start, content)
            self._size = start + len(content)

    async def _take(self, record: Object) -> Outcome | None:
        """Take a record that the pod told; gives the outcome where it is the last."""
        steps = {step.progress for step in self._seen}
        building, started = number(record, "building"), number(record, "started")
        if "runnerd" in record and not self._taken:
            # From here on no other pod can run this attempt: it would find no script.
            await self._delete(SECRETS)
            self._taken = True
        elif building is not None and Progress.BUILDING not in steps:
            self._tell(Observation(Progress.BUILDING, building))
        elif started is not None and Progress.RUNNING not in steps:
            self._tell(Observation(Progress.RUNNING, started))
        return outcome_in(record["end"]) if "end" in record else None

    async def _delete(self, resource: Resource) -> None:
        """Delete the attempt's Job or Secret, however long the API server is away."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._namespace.api.delete(self._namespace.path(resource, self._place.name))
            except ApiRefuses as refusal:
                _log.error("an attempt can't be cleared away", why=str(refusal))
            except BackendAway:
                await anyio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            return
