"""What containers are held to, how they end, and what becomes of those that nobody owns."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from runnerd.executors.docker import janitor
from runnerd.executors.docker.executor import DockerExecutor
from runnerd.executors.docker.handle import place_of
from runnerd.jobs import Cause, EnvironmentPlan, Handle, Resources
from runnerd.plugins import BackendAway, Executor, FailJob, Verdict
from runnerd.testing.executors.ends import WAIT
from tests.executors.docker.ground import DockerGround, settings

pytestmark = pytest.mark.docker
End = tuple[int | None, int | None]
MEMORY = 64 * 2**20
GREEDY = "block = bytearray(512 * 2**20)"
# The script itself lives on, and fails for a reason of its own.
GREEDY_CHILD = f"""
import subprocess, sys
child = subprocess.run([sys.executable, "-c", "{GREEDY}"])
print("child", child.returncode)
sys.exit(3)
"""
TELL = """
import json, os, resource, socket
def can(action):
    try:
        action()
        return True
    except OSError:
        return False
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "capabilities": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapEff")],
    "no_new_privileges": [l.split()[1] for l in open("/proc/self/status") if "NoNewPrivs" in l],
    "writes_root": can(lambda: open("/etc/new", "w")),
    "writes_tmp": can(lambda: open("/tmp/new", "w")),
    "writes_work": can(lambda: open("new", "w")),
    "interfaces": sorted(name for _, name in socket.if_nameindex()),
}))
"""


class TestContainers(DockerGround):
    """Tests on the real engine."""

    async def made(self, data_dir: Path, **changes: Any) -> DockerExecutor:
        executor = DockerExecutor(settings(**changes), data_dir=data_dir)
        await executor.open()
        return executor

    def inspected(self, handle: Handle) -> dict[str, Any] | None:
        status, found = self.engine.ask("GET", f"/containers/{place_of(handle).container}/json")
        return found if status == 200 else None

    @pytest.mark.parametrize(("script", "end"), [(GREEDY, (None, 9)), (GREEDY_CHILD, (3, None))])
    async def test_want_of_memory_is_told_also_where_a_child_was_killed(
        self, plan: EnvironmentPlan, folder: Path, data_dir: Path, script: str, end: End
    ) -> None:
        executor = await self.made(data_dir)
        request = self.request_for(folder, script, plan, resources=Resources(memory_bytes=MEMORY))
        outcome = await self.outcome_of(executor, await executor.launch(request))
        assert outcome.cause is Cause.OUT_OF_MEMORY
        assert (outcome.exit_code, outcome.signal) == end
        await executor.close()

    async def test_a_kill_with_memory_to_spare_is_no_want_of_it(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        script = "import os; os.kill(os.getpid(), 9)"
        request = self.request_for(folder, script, plan, resources=Resources(memory_bytes=MEMORY))
        outcome = await self.outcome_of(executor, await executor.launch(request))
        assert (outcome.cause, outcome.signal) == (Cause.SIGNALLED, 9)

    async def test_a_script_gets_no_privilege_and_no_more_than_it_asked_for(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        executor = await self.made(
            data_dir, user="4242:4243", read_only=True, network="none", pids=200
        )
        asked = Resources(cpus=0.5, memory_bytes=MEMORY)
        request = self.request_for(folder, TELL, plan, resources=asked)
        handle = await executor.launch(request)
        assert (await self.outcome_of(executor, handle)).succeeded
        told = json.loads(await self.output_of(executor, handle))
        assert told["ids"] == [4242, 4243]
        assert (told["capabilities"], told["no_new_privileges"]) == (["0000000000000000"], ["1"])
        assert (told["writes_root"], told["writes_tmp"], told["writes_work"]) == (False, True, True)
        assert told["interfaces"] == ["lo"]
        found = self.inspected(handle)
        assert found is not None
        limits = found["HostConfig"]
        assert (limits["NanoCpus"], limits["Memory"], limits["MemorySwap"]) == (
            500_000_000,
            MEMORY,
            MEMORY,
        )
        assert limits["PidsLimit"] == 200
        await executor.close()

    async def test_no_secret_is_where_the_engine_shows_it(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        variables = {"TOKEN": "the-token-of-this-job"}
        handle = await executor.launch(self.request_for(folder, WAIT, plan, variables=variables))
        assert "the-token-of-this-job" not in json.dumps(self.inspected(handle))
        await executor.stop(handle, Cause.CANCELLED)
        await self.outcome_of(executor, handle)
        await executor.release(handle)
        assert self.inspected(handle) is None

    async def test_an_image_that_is_not_there_fails_the_job_by_name(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        request = self.request_for(folder, WAIT, plan, image="nobody/has:this")
        with pytest.raises(FailJob, match=r"no image 'nobody/has:this'.*pull is 'never'"):
            await executor.launch(request)

    async def test_a_registry_that_is_away_is_waited_for(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        executor = await self.made(data_dir, pull="missing")
        request = self.request_for(folder, WAIT, plan, image="127.0.0.1:9/team/image:1")
        with pytest.raises(BackendAway, match="can't be pulled now"):
            await executor.launch(request)
        await executor.close()

    async def test_an_image_without_its_python_fails_the_job_and_leaves_nothing(
        self, plan: EnvironmentPlan, data_dir: Path, folder: Path
    ) -> None:
        executor = await self.made(data_dir, python="python9")
        request = self.request_for(folder, WAIT, plan)
        with pytest.raises(FailJob, match="'python9'"):
            await executor.launch(request)
        assert self.inspected(executor.handle_for(request.attempt_id, folder)) is None
        await executor.close()

    async def test_a_python_that_nothing_was_resolved_for_is_named(
        self, executor: Executor, plan: EnvironmentPlan, folder: Path
    ) -> None:
        other = replace(plan, key="other", python_version="3.99.1")
        handle = await executor.launch(self.request_for(folder, WAIT, other))
        outcome = await self.outcome_of(executor, handle)
        assert outcome.cause is Cause.BUILD_FAILED
        assert "use an image with Python 3.99" in outcome.detail

    async def test_the_janitor_takes_what_nobody_owns_after_its_grace(
        self, plan: EnvironmentPlan, data_dir: Path, tmp_path: Path
    ) -> None:
        executor = await self.made(data_dir, janitor="off", janitor_grace_seconds=0.01)
        ended, running = (tmp_path / name / "attempt" for name in ("ended", "running"))
        left = await executor.launch(self.request_for(ended, "print('kept')", plan))
        busy = await executor.launch(self.request_for(running, WAIT, plan))
        await self.outcome_of(executor, left)
        await self.until_output(executor, busy, b"ready")
        await anyio.sleep(1.1)  # the engine's moments are told to a second

        def tidy(**changes: Any) -> janitor.Janitor:
            changed = settings(janitor_grace_seconds=0.01, **changes)
            return janitor.Janitor(executor._engine, executor._copies, changed, executor._owner)

        name = place_of(left).container
        assert await tidy(janitor="report").tidy() == [name]
        assert self.inspected(left) is not None
        assert await tidy().tidy() == [name]
        assert self.inspected(left) is None
        assert await executor.adopt(left) is Verdict.ENDED
        assert await self.output_of(executor, left) == b"kept\n"
        assert await executor.adopt(busy) is Verdict.ADOPTED
        await executor.stop(busy, Cause.CANCELLED)
        await self.outcome_of(executor, busy)
        await executor.close()
