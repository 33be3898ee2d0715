"""The mirror of what is in the cluster keeps up, whatever becomes of the server's stream."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from runnerd.executors.kubernetes.api import SECRETS, Api, Object
from runnerd.executors.kubernetes.cluster import find_cluster
from runnerd.executors.kubernetes.mirror import Mirror
from runnerd.executors.kubernetes.pace import Pace
from tests.engines.kubernetes import KubernetesCluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.anyio]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def namespace(kubernetes: KubernetesCluster) -> str:
    return kubernetes.make_namespace(f"mirror-{uuid.uuid4().hex[:8]}")


@pytest.fixture
async def api(kubernetes: KubernetesCluster) -> AsyncIterator[Api]:
    api = Api(find_cluster(kubernetes.kubeconfig), rate=100, burst=100, timeout=10)
    api.open()
    yield api
    await api.close()


class Watched:
    """A mirror of Secrets, and the event of its last change."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.path = SECRETS.path(namespace)
        self.changed = anyio.Event()
        self.mirror = Mirror(api, self.path, "runnerd.io/instance=tests", self._note)

    def _note(self, job: str) -> None:
        assert job.startswith("job-")
        self.changed.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not is_so():
                self.changed = anyio.Event()
                with anyio.move_on_after(0.5):
                    await self.changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(self.mirror.run)
            with anyio.fail_after(PATIENCE):
                await self.mirror.synced.wait()
            yield
            group.cancel_scope.cancel()

    async def make(self, job: str, name: str | None = None) -> None:
        labels = {"runnerd.io/instance": "tests", "runnerd.io/job": job}
        await self.api.create(
            self.path, {"kind": "Secret", "metadata": {"name": name or job, "labels": labels}}
        )

    def value(self, job: str) -> Object:
        (item,) = self.mirror.of(job)
        data: Object = item.get("data") or {}
        return data


@pytest.fixture
def watched(api: Api, namespace: str) -> Watched:
    return Watched(api, namespace)


async def test_it_sees_what_comes_changes_and_goes(watched: Watched) -> None:
    await watched.make("job-old")
    async with watched.running():
        assert len(watched.mirror.of("job-old")) == 1
        await watched.make("job-new")
        await watched.make("job-new", "another")
        await watched.until(lambda: len(watched.mirror.of("job-new")) == 2)
        await watched.api.merge(f"{watched.path}/job-old", {"data": {"key": "dmFsdWU="}})
        await watched.until(lambda: watched.value("job-old") == {"key": "dmFsdWU="})
        await watched.api.delete(f"{watched.path}/job-old")
        await watched.until(lambda: watched.mirror.of("job-old") == [])
    assert watched.api.calls["list secrets"] == 1
    assert watched.api.calls["watch secrets"] == 1


async def test_it_goes_on_where_the_server_was_restarted(
    kubernetes: KubernetesCluster, watched: Watched
) -> None:
    async with watched.running():
        await watched.make("job-before")
        await anyio.to_thread.run_sync(kubernetes.stop_api_server)
        await watched.until(lambda: watched.mirror.trouble != "")
        await anyio.to_thread.run_sync(kubernetes.start_api_server)
        await watched.until(lambda: watched.mirror.trouble == "")
        await watched.make("job-after")
        await watched.until(lambda: len(watched.mirror.of("job-after")) == 1)
        assert len(watched.mirror.of("job-before")) == 1


async def test_it_lists_again_where_the_server_forgot_what_happened_since(
    watched: Watched,
) -> None:
    await watched.make("job-gone")
    async with watched.running():
        assert len(watched.mirror.of("job-gone")) == 1
    await watched.api.delete(f"{watched.path}/job-gone")
    watched.mirror._version = "1"  # older than anything that the server still knows
    async with watched.running():
        await watched.until(lambda: watched.mirror.of("job-gone") == [])
    assert watched.api.calls["list secrets"] == 2


async def test_calls_are_held_to_a_pace() -> None:
    pace, began = Pace(rate=50, burst=10), anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(30):
            group.start_soon(pace.turn)
    assert 0.4 <= anyio.current_time() - began < 2
