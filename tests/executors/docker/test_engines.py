"""Engines that restart under running attempts, and one that nobody vouches for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runnerd.executors.docker.executor import DockerExecutor
from runnerd.jobs import Cause, EnvironmentPlan
from runnerd.plugins import BackendAway, Verdict
from runnerd.testing.executors.ends import WAIT
from tests.docker import DockerEngine, docker_engine
from tests.executors.docker.ground import DockerGround, reached_by_suites, settings

pytestmark = pytest.mark.docker


class TestRestarts(DockerGround):
    """An engine of its own, which these tests stop and start."""

    @pytest.fixture(scope="class")
    @classmethod
    def suite_engine(cls) -> Iterator[DockerEngine]:
        with docker_engine("--live-restore") as started, reached_by_suites(started):
            yield started

    async def test_with_live_restore_an_attempt_outlives_the_engine(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        executor = self.make_executor(data_dir)
        await executor.open()
        handle = await executor.launch(self.request_for(folder, WAIT, plan))
        await self.until_output(executor, handle, b"ready")
        self.engine.stop()
        assert not (await executor.health()).healthy
        with pytest.raises(BackendAway, match="does not answer"):
            await executor.adopt(handle)
        self.engine.start()
        assert await executor.adopt(handle) is Verdict.ADOPTED
        await executor.stop(handle, Cause.CANCELLED)
        assert (await self.outcome_of(executor, handle)).cause is Cause.CANCELLED
        assert await self.output_of(executor, handle) == b"ready\n"
        await executor.close()


class TestStrangers(DockerGround):
    """Who has not the right keys."""

    async def test_an_engine_that_shows_no_trusted_certificate_is_not_talked_to(
        self, data_dir: Path
    ) -> None:
        given = self.engine.tcp | {"tls_ca": self.engine.tcp["tls_cert"]}
        stranger = DockerExecutor(settings(**given), data_dir=data_dir)
        health = await stranger.health()
        assert not health.healthy
        assert "certificate" in health.detail.lower()
        await stranger.close()


class TestNoLiveRestore(DockerGround):
    """An engine that takes its containers along."""

    @pytest.fixture(scope="class")
    @classmethod
    def suite_engine(cls) -> Iterator[DockerEngine]:
        with docker_engine("--shutdown-timeout=1") as started, reached_by_suites(started):
            yield started

    async def test_an_attempt_that_went_with_its_engine_is_lost_and_says_so(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        executor = self.make_executor(data_dir)
        await executor.open()
        request = self.request_for(folder, WAIT, plan, grace_seconds=0.5)
        handle = await executor.launch(request)
        await self.until_output(executor, handle, b"ready")
        self.engine.stop()
        self.engine.start()
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.LOST
        assert "without a record of its end, with exit code 137" in outcome.detail
        assert await executor.adopt(handle) is Verdict.GONE
        assert await self.output_of(executor, handle) == b"ready\n"
        await executor.close()
