"""What an executor's suite stands on: what a subclass gives, and how attempts are followed."""

import platform
import sys
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
import uv

from runnerd.jobs import EnvironmentPlan, Handle, Outcome
from runnerd.plugins import Executor, LaunchRequest, Observation, Progress

PAUSE = 0.02


class ExecutorGround:
    """A subclass gives ``make_executor``, and overrides what is different about its engine.

    ``patience`` is how many seconds the engine may take for any one step of an attempt.
    ``apart`` is how many seconds lie between two of the sixty lines of a script that has to run
    still when its output is seen: an engine that shows output late needs more.
    ``extra_variables`` are names of variables that the engine itself puts before scripts.
    """

    patience: ClassVar[float] = 30.0
    apart: ClassVar[float] = 0.01
    extra_variables: ClassVar[Collection[str]] = frozenset()
    pytestmark = pytest.mark.anyio

    @staticmethod
    def make_executor(data_dir: Path) -> Executor:
        """Build the executor under test; also called in another process, with the same folder."""
        raise NotImplementedError("give the suite a make_executor(data_dir)")

    @staticmethod
    def make_broken_executor(data_dir: Path) -> Executor | None:
        """Build one whose engine is away, or None where that can't be arranged."""
        return None

    def environment_folder(self, plan: EnvironmentPlan) -> str:
        """Tell where the script finds its environment: ``sys.prefix`` in it."""
        return f"{plan.root}/{plan.key}"

    def processes(self, attempt_id: str) -> list[str]:
        """List what is alive of an attempt's script, wherever it went.

        As it stands it reads this machine's ``/proc``, which shows the processes of containers
        too; override it where scripts run on other machines.
        """
        mark = f"RUNNERD_ATTEMPT_ID={attempt_id}".encode()
        environs = Path("/proc").glob("[0-9]*/environ")
        return [environ.parent.name for environ in environs if _has(environ, mark)]

    async def lose(self, executor: Executor, handle: Handle) -> None:
        """Make a running attempt vanish without a record of its end, as a machine's crash would.

        Return once it is gone; what it leaves behind is the executor's to end.
        """
        pytest.skip("the suite is not told how to lose an attempt: override `lose`")

    @pytest.fixture(scope="class")
    @classmethod
    def anyio_backend(cls) -> str:
        return "asyncio"

    @pytest.fixture(scope="class")
    @classmethod
    def plan(cls, tmp_path_factory: pytest.TempPathFactory) -> EnvironmentPlan:
        """The plan of an empty environment, which the first attempt builds."""
        folder = tmp_path_factory.mktemp("environments")
        return EnvironmentPlan(
            key="0" * 16,
            lock="",
            python=str(Path(sys.executable).resolve()),
            python_version=platform.python_version(),
            root=str(folder / "built"),
            cache=str(folder / "cache"),
            uv=uv.find_uv_bin(),
            build_timeout=60.0,
        )

    @pytest.fixture
    def unbuildable(self, plan: EnvironmentPlan) -> EnvironmentPlan:
        """A plan whose lock names what no index has."""
        lock = "runnerd-has-no-such-package==1.0\n"
        return replace(plan, key="unbuildable", lock=lock, options=("--no-index",))

    @pytest.fixture
    def slow_to_build(self, plan: EnvironmentPlan, tmp_path: Path) -> EnvironmentPlan:
        """A plan whose builder takes longer than any test."""
        builder = tmp_path / "builder"
        builder.write_text("#!/bin/sh\nexec sleep 600\n")
        builder.chmod(0o755)
        return replace(plan, key="slow", uv=str(builder))

    @pytest.fixture
    def data_dir(self, tmp_path: Path) -> Path:
        """The executor's own folder, the same for each executor of a test."""
        return tmp_path / "plugin"

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """The attempt's folder."""
        return tmp_path / "attempt"

    @pytest.fixture
    async def executor(self, data_dir: Path) -> AsyncIterator[Executor]:
        executor = self.make_executor(data_dir)
        await executor.open()
        yield executor
        await executor.close()

    def request_for(
        self, folder: Path, script: str, plan: EnvironmentPlan, **changes: Any
    ) -> LaunchRequest:
        """Give a whole request for an attempt in ``folder``."""
        fields: dict[str, Any] = {
            "attempt_id": attempt_of(folder),
            "folder": folder,
            "script_name": "train.py",
            "script": script,
            "environment": plan,
            "timeout": 60.0,
            "grace_seconds": 5.0,
            "log_limit": 1_000_000,
            "variables": {"PYTHONUNBUFFERED": "1"},
        }
        return LaunchRequest(**{**fields, **changes})

    async def seen(self, executor: Executor, handle: Handle) -> list[Observation]:
        """Watch to the end, and give everything that was told."""
        with anyio.fail_after(self.patience):
            return [observation async for observation in executor.watch(handle)]

    async def outcome_of(self, executor: Executor, handle: Handle) -> Outcome:
        """Watch to the end."""
        last = (await self.seen(executor, handle))[-1]
        assert last.progress is Progress.ENDED
        assert last.outcome is not None
        return last.outcome

    async def output_of(self, executor: Executor, handle: Handle) -> bytes:
        """Read everything that was written so far."""
        return await executor.read_log(handle, 0, await executor.log_size(handle))

    async def until_output(self, executor: Executor, handle: Handle, text: bytes) -> bytes:
        """Wait until the script has written ``text``."""
        with anyio.fail_after(self.patience):
            while True:
                output = await self.output_of(executor, handle)
                if text in output:
                    return output
                await anyio.sleep(PAUSE)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so."""
        with anyio.fail_after(self.patience):
            while not condition():
                await anyio.sleep(PAUSE)


def attempt_of(folder: Path) -> str:
    """Give the attempt id that goes with a folder: no two tests share one."""
    return f"{folder.parent.name}-{folder.name}-1"


def _has(environ: Path, mark: bytes) -> bool:
    try:
        return mark in environ.read_bytes().split(b"\0")
    except OSError:
        return False  # it ended meanwhile, or is not ours to look at
