"""Runs attempts as Jobs of a Kubernetes cluster, each one pod with a runner of its own."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import structlog
import yaml
from anyio import to_thread

from runnerd.executors.kubernetes import manifests, reasons, records
from runnerd.executors.kubernetes.api import JOBS, PODS, SECRETS, Api, ApiRefuses, Object
from runnerd.executors.kubernetes.cluster import SettingsUnusable, find_cluster
from runnerd.executors.kubernetes.following import Follower
from runnerd.executors.kubernetes.handle import Place, handle_of, place_for, place_of
from runnerd.executors.kubernetes.namespace import Namespace
from runnerd.executors.kubernetes.overlay import OverlayRefused, laid_over
from runnerd.executors.kubernetes.rights import missing_rights
from runnerd.executors.kubernetes.settings import KubernetesSettings
from runnerd.jobs import Cause, Handle
from runnerd.plugins import (
    BackendAway,
    Condition,
    Executor,
    ExecutorCapability,
    FailJob,
    Health,
    LaunchRequest,
    Observation,
    PluginError,
    Progress,
    TakeOut,
    Verdict,
)
from runnerd.plugins.records import output_size, read_output

HEALTH_SECONDS = 4.0
RIGHTS_SECONDS = 60.0
RAN_BEFORE = "the attempt {} has run before and is not run again"
_log = structlog.get_logger(__name__)


class KubernetesExecutor(Executor):
    """Keeps no attempt of its own: what is not in the cluster is in the attempt's folder.

    Attempts of other daemons, whose folders are not here, get one in ``data_dir``.
    """

    capabilities = frozenset({ExecutorCapability.ENGINE})
    runs_images = True

    def __init__(self, settings: KubernetesSettings, data_dir: Path) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._overlay: Object = {}
        self._opened: Namespace | None = None
        self._followers: dict[str, tuple[Follower, asyncio.Task[None]]] = {}
        self._rights_at = 0.0
        self._missing: list[str] = []

    @property
    def calls(self) -> dict[str, int]:
        """How often each call of the API was made since the start, as in ``create jobs``."""
        return dict(self._opened.api.calls) if self._opened is not None else {}

    async def open(self) -> None:
        settings = self._settings
        if not settings.image:
            raise SettingsUnusable(
                "plugins.kubernetes.image is not set: name an image that has Python"
            )
        self._overlay = await to_thread.run_sync(_overlay_of, settings.pod_overlay)
        cluster = await to_thread.run_sync(find_cluster, settings.kubeconfig, settings.context)
        api = Api(
            cluster, rate=settings.qps, burst=settings.burst, timeout=settings.request_timeout
        )
        self._opened = Namespace(
            api,
            settings.namespace or cluster.namespace,
            selector=manifests.selector(settings),
            start_deadline=settings.start_deadline,
            changed=self._poke,
        )
        self._opened.open()

    async def close(self) -> None:
        tasks = [task for _, task in self._followers.values()]
        for task in tasks:
            task.cancel()
        if self._opened is not None:
            _log.info("calls of the Kubernetes API", **self.calls)
            await self._opened.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def health(self) -> Health:
        try:
            with anyio.fail_after(HEALTH_SECONDS):
                return await self._probe()
        except TimeoutError:
            reason = f"the API server did not answer within {HEALTH_SECONDS:g} seconds"
        except PluginError as error:
            reason = str(error)
        return Health(Condition.UNHEALTHY, f"pods can't be started: {reason}")

    async def _probe(self) -> Health:
        namespace = self._namespace
        told = await namespace.api.get("/version")
        if time.monotonic() - self._rights_at > RIGHTS_SECONDS:
            self._missing = await missing_rights(namespace.api, namespace.name)
            self._rights_at = time.monotonic()
        if self._missing:
            lack = ", ".join(self._missing)
            return Health(
                Condition.UNHEALTHY,
                f"runnerd may not {lack} in the namespace {namespace.name!r}: grant its account "
                "these verbs by a Role and a RoleBinding",
            )
        await namespace.synced()
        if namespace.trouble:
            return Health(Condition.UNHEALTHY, f"pods can't be watched: {namespace.trouble}")
        version = told.get("gitVersion", "")
        return Health(Condition.HEALTHY, f"Kubernetes {version}, the namespace {namespace.name!r}")

    async def launch(self, request: LaunchRequest) -> Handle:
        place = self._place(request.attempt_id, request.folder)
        if await to_thread.run_sync(records.end_of, place) is not None:
            raise FailJob(RAN_BEFORE.format(place.attempt_id))
        await self._namespace.synced()
        launched = await to_thread.run_sync(records.was_launched, place)
        if not launched:
            await to_thread.run_sync(lambda: records.note_launch(place, confirmed=False))
        try:
            job = await self._create_job(place, request, confirmed=bool(launched))
        except OverlayRefused as error:
            raise FailJob(f"plugins.kubernetes.pod_overlay can't be used: {error}") from error
        await self._create_secret(place, request, job)
        await to_thread.run_sync(lambda: records.note_launch(place, confirmed=True))
        self._namespace.jobs.put(job)
        return handle_of(place)

    async def _create_job(self, place: Place, request: LaunchRequest, *, confirmed: bool) -> Object:
        """Create the Job, or take over the one of a launch that failed half-way."""
        namespace = self._namespace
        if confirmed and not await self._knows(place):
            raise FailJob(RAN_BEFORE.format(place.attempt_id))
        body = manifests.job(place, request, self._settings, self._overlay)
        try:
            return await namespace.api.create(namespace.path(JOBS), body)
        except ApiRefuses as refusal:
            if refusal.status != 409:
                raise FailJob(reasons.refused(refusal, "create jobs", namespace.name)) from refusal
        job = await self._read_job(place)
        if job is None or "deletionTimestamp" in job["metadata"]:
            raise BackendAway(f"the attempt {place.attempt_id} is still being cleared away")
        started = self._started_pod(place)
        if started is not None and reasons.is_over(started):
            raise FailJob(RAN_BEFORE.format(place.attempt_id))
        if confirmed or started is not None:
            raise BackendAway(f"the attempt {place.attempt_id} is running already")
        return job

    async def _create_secret(self, place: Place, request: LaunchRequest, job: Object) -> None:
        """Create what the pod waits for; without it there is to be no Job either."""
        namespace = self._namespace
        try:
            body = manifests.secret(place, request, self._settings, job)
            await namespace.api.create(namespace.path(SECRETS), body)
        except ApiRefuses as refusal:
            if refusal.status == 409:
                raise BackendAway(f"the attempt {place.attempt_id} is running already") from refusal
            await namespace.api.delete(namespace.path(JOBS, place.name))
            words = reasons.refused(refusal, "create secrets", namespace.name)
            raise FailJob(words) from refusal
        except FailJob:
            await namespace.api.delete(namespace.path(JOBS, place.name))
            raise

    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        return handle_of(self._place(attempt_id, folder))

    async def adopt(self, handle: Handle) -> Verdict:
        place = await self._place_of(handle)
        kept = await to_thread.run_sync(records.end_of, place)
        if kept is not None:
            return Verdict.ENDED if kept[1] else Verdict.GONE
        await self._namespace.synced()
        launched = await to_thread.run_sync(records.was_launched, place)
        if not await self._knows(place):
            elsewhere = self._data_dir in place.folder.parents
            return Verdict.GONE if launched or elsewhere else Verdict.NEVER_RAN
        started = self._started_pod(place)
        if started is None:
            # Without its Secret a pod can't start, and never will.
            waits = launched or await self._has_secret(place)
            return Verdict.ADOPTED if waits else Verdict.NEVER_RAN
        if not reasons.is_over(started):
            return Verdict.ADOPTED
        return Verdict.ENDED if reasons.left_message(started) is not None else Verdict.GONE

    async def watch(self, handle: Handle) -> AsyncIterator[Observation]:
        place = await self._place_of(handle)
        kept = await to_thread.run_sync(records.end_of, place)
        if kept is not None:
            outcome, _ = kept
            if outcome.script_started_at is not None:
                yield Observation(Progress.RUNNING, outcome.script_started_at)
            yield Observation(Progress.ENDED, outcome.ended_at or time.time(), outcome)
            return
        await self._namespace.synced()
        await self._knows(place)
        async for seen in self._follow(place).watch():
            yield seen

    async def stop(self, handle: Handle, cause: Cause) -> None:
        place, namespace = await self._place_of(handle), self._namespace
        await namespace.synced()
        ended = await to_thread.run_sync(records.end_of, place) is not None
        if ended or not await self._knows(place):
            return
        started = self._started_pod(place)
        if started is not None and reasons.is_over(started):
            return
        cause = await to_thread.run_sync(records.ask_to_stop, place, cause)
        try:
            if started is None:
                await namespace.api.delete(namespace.path(JOBS, place.name))
                return
            path = namespace.path(PODS, started["metadata"]["name"])
            await namespace.api.merge(path, manifests.stop_patch(cause))
        except ApiRefuses as refusal:
            if refusal.status != 404:
                words = reasons.refused(refusal, "stop the pod", namespace.name)
                raise TakeOut(words) from refusal

    async def log_size(self, handle: Handle) -> int:
        place = await self._place_of(handle)
        await self._attend_to(place)
        return await to_thread.run_sync(output_size, place.attempt)

    async def read_log(self, handle: Handle, start: int, limit: int) -> bytes:
        place = await self._place_of(handle)
        await self._attend_to(place)
        return await to_thread.run_sync(read_output, place.attempt, start, limit)

    async def release(self, handle: Handle) -> None:
        place, namespace = await self._place_of(handle), self._namespace
        if place.name in self._followers:
            self._followers[place.name][1].cancel()
        try:
            await namespace.api.delete(namespace.path(JOBS, place.name))
        except ApiRefuses as refusal:
            words = reasons.refused(refusal, "delete jobs", namespace.name)
            raise TakeOut(words) from refusal

    async def engine(self) -> str:
        namespace = self._namespace
        try:
            found = await namespace.api.get(f"/api/v1/namespaces/{namespace.name}")
        except ApiRefuses as refusal:
            words = reasons.refused(refusal, "get the namespace", namespace.name)
            raise BackendAway(words) from refusal
        return f"kubernetes/{found['metadata']['uid']}/{self._settings.instance}"

    @property
    def _namespace(self) -> Namespace:
        if self._opened is None:
            raise BackendAway("the kubernetes executor is not open")
        return self._opened

    def _place(self, attempt_id: str, folder: Path) -> Place:
        return place_for(self._settings.instance, attempt_id, folder)

    async def _place_of(self, handle: Handle) -> Place:
        place = place_of(handle)
        if await to_thread.run_sync(place.folder.parent.is_dir):
            return place
        return replace(place, folder=self._data_dir / place.name)

    def _started_pod(self, place: Place) -> Object | None:
        pods = self._namespace.pods.of(place.name)
        return next((pod for pod in pods if reasons.has_started(pod)), None)

    async def _knows(self, place: Place) -> bool:
        """Tell whether the attempt's Job is in the cluster, also where the watch is behind."""
        if self._namespace.jobs.of(place.name):
            return True
        job = await self._read_job(place)
        if job is not None:
            self._namespace.jobs.put(job)
        return job is not None

    async def _read_job(self, place: Place) -> Object | None:
        return await self._read(self._namespace.path(JOBS, place.name))

    async def _has_secret(self, place: Place) -> bool:
        return await self._read(self._namespace.path(SECRETS, place.name)) is not None

    async def _read(self, path: str) -> Object | None:
        try:
            return await self._namespace.api.get(path)
        except ApiRefuses as refusal:
            if refusal.status == 404:
                return None
            words = reasons.refused(refusal, "read what was launched", self._namespace.name)
            raise TakeOut(words) from refusal

    async def _attend_to(self, place: Place) -> None:
        """See to it that the output comes here, for whoever asks for it first."""
        if self._opened is None or place.name in self._followers:
            return
        known = self._opened.jobs.of(place.name)
        if known and await to_thread.run_sync(records.end_of, place) is None:
            self._follow(place)

    def _follow(self, place: Place) -> Follower:
        if place.name in self._followers:
            return self._followers[place.name][0]
        follower = Follower(place, self._namespace)
        task = asyncio.create_task(follower.run())
        self._followers[place.name] = follower, task
        task.add_done_callback(lambda _: self._followers.pop(place.name, None))
        return follower

    def _poke(self, job: str) -> None:
        if job in self._followers:
            self._followers[job][0].poke()


def _overlay_of(given: Object | Path) -> Object:
    """Give the patch itself. Raises ``SettingsUnusable`` where it can't be laid over a pod."""
    try:
        if isinstance(given, Path):
            given = yaml.safe_load(given.expanduser().read_text()) or {}
        laid_over({}, given)
    except (OSError, yaml.YAMLError, OverlayRefused, AttributeError, TypeError) as error:
        raise SettingsUnusable(f"plugins.kubernetes.pod_overlay can't be used: {error}") from error
    return given
