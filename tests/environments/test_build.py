"""Building environments with the runner's file and the real uv, from an index of our own."""

import shutil
import subprocess
from functools import partial
from pathlib import Path

import anyio
import pytest

from runnerd.environments import BuildFailed, EnvironmentBusy, Environments
from runnerd.environments.locks import Locks
from runnerd.jobs import EnvironmentPlan
from tests.environments.conftest import Open
from tests.environments.index import Index

pytestmark = pytest.mark.anyio


@pytest.fixture
def open_environments(open_environments: Open, index: Index, tmp_path: Path) -> Open:
    """Open environments on the index, with a package cache of their own."""
    index.add("tiny", "1.0")
    return partial(
        open_environments,
        index_url=index.url(),
        cache=tmp_path / "cache" / "uv",
        variables={"UV_HTTP_RETRIES": "0"},
    )


def version_in(folder: Path) -> str:
    command = [str(folder / "bin" / "python"), "-c", "import tiny; print(tiny.version)"]
    return subprocess.check_output(command, text=True).strip()


def processes_of(folder: Path) -> list[str]:
    """Give the command lines of all processes that name a folder."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in line:
            found.append(line)
    return found


async def test_a_plan_becomes_an_environment(
    open_environments: Open, index: Index, tmp_path: Path
) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["tiny"])
    folder = await environments.build(plan)
    assert folder == tmp_path / "environments" / plan.key
    assert version_in(folder) == "1.0"
    assert environments.describe(plan.key).built
    index.status = 500
    without_builder = await open_environments(runner=tmp_path / "nothing")
    assert await without_builder.build(without_builder.plan_for(plan.key)) == folder


async def test_an_index_behind_a_password(
    open_environments: Open, index: Index, tmp_path: Path
) -> None:
    index.password = "s3cr3t"
    environments = await open_environments(index_url=index.url("user:s3cr3t@"))
    folder = await environments.build(await environments.resolve(["tiny"]))
    assert version_in(folder) == "1.0"
    for file in (tmp_path / "environments").rglob("*"):
        if file.is_file() and not file.is_symlink():
            assert b"s3cr3t" not in file.read_bytes()


async def test_builders_of_the_same_plan_share_one_environment(open_environments: Open) -> None:
    one, other = await open_environments(), await open_environments()
    plan = await one.resolve(["tiny"])
    folders: list[Path] = []

    async def build(environments: Environments) -> None:
        folders.append(await environments.build(plan))

    async with anyio.create_task_group() as group:
        for environments in (one, one, other):
            group.start_soon(build, environments)
    assert len(set(folders)) == 1
    assert version_in(folders[0]) == "1.0"


async def test_a_package_that_can_no_longer_be_had(
    open_environments: Open, index: Index, tmp_path: Path
) -> None:
    environments = await open_environments(index_url=index.url("user:s3cr3t@"))
    plan = await environments.resolve(["tiny"])
    shutil.rmtree(tmp_path / "cache")
    index.status = 503
    with pytest.raises(BuildFailed, match="503") as failed:
        await environments.build(plan)
    assert "s3cr3t" not in failed.value.reason
    assert not environments.describe(plan.key).built


async def test_a_changed_package_is_refused(
    open_environments: Open, index: Index, tmp_path: Path
) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["tiny"])
    shutil.rmtree(tmp_path / "cache")
    index.add("tiny", "1.0", requires="other")
    with pytest.raises(BuildFailed, match="Hash mismatch") as failed:
        await environments.build(plan)
    assert failed.value.reason.count("\n") == 0


async def test_of_what_a_builder_printed_the_reason_remains(open_environments: Open) -> None:
    environments = await open_environments(index_url="https://user:s3cr3t@index.test/simple")
    printed = """\
Using Python 3.11.7 environment at: environment
Resolved 88 packages in 1.43s
   Building old==0.25.3 from https://user:s3cr3t@index.test/old.tar.gz
error: Failed to build `old==0.25.3`
  cause: The build backend returned an error
         [stderr]
         Traceback (most recent call last):
           File "setup.py", line 12, in <module>
         ModuleNotFoundError: No module named 'pkg_resources'
hint: `old` depends on `pkg_resources`. Otherwise, either add it to your `pyproject.toml` under:
[tool.uv.extra-build-dependencies]
old = ["pkg_resources"]
"""
    assert environments.reason_of(printed) == (
        "Failed to build `old==0.25.3`: The build backend returned an error: "
        "ModuleNotFoundError: No module named 'pkg_resources'. `old` depends on `pkg_resources`."
    )


async def stalled(environments: Environments, index: Index, cache: Path) -> EnvironmentPlan:
    """Resolve, and have the index say nothing to the build that follows."""
    plan = await environments.resolve(["tiny"])
    shutil.rmtree(cache)
    index.asked.clear()
    index.silent = True
    return plan


async def test_a_build_ends_in_time(open_environments: Open, index: Index, tmp_path: Path) -> None:
    environments = await open_environments(build_timeout=1)
    plan = await stalled(environments, index, tmp_path / "cache")
    with pytest.raises(BuildFailed, match="within 1 seconds"):
        await environments.build(plan)


async def test_a_cancelled_build_leaves_nothing_behind(
    open_environments: Open, index: Index, tmp_path: Path
) -> None:
    environments = await open_environments()
    plan = await stalled(environments, index, tmp_path / "cache")
    async with anyio.create_task_group() as group:
        group.start_soon(environments.build, plan)
        await anyio.to_thread.run_sync(index.asked.wait)
        group.cancel_scope.cancel()
    root = tmp_path / "environments"
    assert processes_of(root) == []
    assert sorted(path.name for path in root.iterdir()) == ["locks", "plans"]
    index.silent = False
    assert version_in(await environments.build(plan)) == "1.0"


async def test_an_environment_whose_interpreter_has_gone_is_built_anew(
    open_environments: Open,
) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["tiny"])
    python = await environments.build(plan) / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")
    assert version_in(await environments.build(plan)) == "1.0"


async def test_ready_builds_and_holds(open_environments: Open, tmp_path: Path) -> None:
    environments = await open_environments(max_bytes=1)
    plan = await environments.resolve(["tiny"])
    async with environments.ready(plan) as (folder, _):
        assert await environments.sweep() == []
        assert version_in(folder) == "1.0"
    assert await environments.sweep() == [plan.key]
    assert environments.plan_for(plan.key) == plan


async def test_ready_waits_for_who_removes(open_environments: Open, tmp_path: Path) -> None:
    environments = await open_environments()
    plan = await environments.resolve(["tiny"])
    folder = await environments.build(plan)
    shutil.rmtree(folder)
    with Locks(tmp_path / "environments" / "locks").exclusive(plan.key):
        folder.mkdir()
        (folder / "bin").mkdir()
        (folder / "bin" / "python").symlink_to(plan.python)
        with pytest.raises(EnvironmentBusy), environments.hold(plan.key):
            pass
        with anyio.move_on_after(0.3) as waited:
            async with environments.ready(plan):
                pass
        assert waited.cancelled_caught
        shutil.rmtree(folder)
    async with environments.ready(plan) as (built, _):
        assert version_in(built) == "1.0"
