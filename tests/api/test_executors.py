"""Who chooses what runs a job, and what is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runnerd.jobs import Abilities, Capacity, NodeExecutors
from runnerd.plugins.installed import Installed
from runnerd.plugins.listeners import Listeners
from runnerd.settings import ExecutorSettings, QueueSettings
from runnerd.testing import FakeListener
from tests.api.daemon import JOBS, SUBMISSION, UPLOAD, Daemon, serving_daemon
from tests.offers import BOTH

pytestmark = pytest.mark.anyio
GPU_NODE = NodeExecutors(default="slurm", opened={"slurm": Abilities()})


@asynccontextmanager
async def daemon_with(data_dir: Path, chooser: FakeListener | None = None) -> AsyncIterator[Daemon]:
    """Run a daemon that opens two executors, beside a node with another."""
    plugin = Installed("chooser", "runnerd-chooser", "1", "/x", built_in=False)
    listeners = Listeners([] if chooser is None else [(plugin, chooser)])
    queues = {
        "boxed": QueueSettings(executor="docker", image="python:3.11"),
        "plain": QueueSettings(executor="subprocess", image="python:3.11"),
    }
    async with serving_daemon(
        data_dir,
        executors=BOTH,
        listeners=listeners,
        queues=queues,
        executor=ExecutorSettings(others=("docker",)),
    ) as daemon:
        whole = Capacity(2, 4.0, 8 * 2**30, ())
        await daemon.store.take_seat("local", "http://a", "a", whole, BOTH)
        await daemon.store.take_seat("gpu", "http://b", "b", whole, GPU_NODE)
        yield daemon


async def chosen(daemon: Daemon, **fields: Any) -> tuple[str | None, str | None]:
    job_id = await daemon.submit(**fields)
    job = (await daemon.call("GET", f"{JOBS}/{job_id}")).json
    return job["executor"], job["image"]


async def refusal(daemon: Daemon, field: str, **fields: Any) -> str:
    reply = await daemon.call("POST", UPLOAD, json=SUBMISSION | fields)
    assert reply.status == 422, reply.body
    assert reply.json["errors"][0]["loc"] == [field]
    detail: str = reply.json["detail"]
    return detail


async def test_the_job_comes_before_its_queue_and_that_before_the_node(data_dir: Path) -> None:
    async with daemon_with(data_dir) as daemon:
        assert await chosen(daemon) == (None, None)
        assert await chosen(daemon, queue="boxed") == ("docker", "python:3.11")
        assert await chosen(daemon, queue="boxed", image="mine:1") == ("docker", "mine:1")
        assert await chosen(daemon, queue="boxed", executor="subprocess") == ("subprocess", None)
        assert await chosen(daemon, queue="plain") == ("subprocess", None)
        assert await chosen(daemon, executor="slurm") == ("slurm", None)


async def test_an_image_alone_chooses_an_executor_that_runs_it(data_dir: Path) -> None:
    async with daemon_with(data_dir) as daemon:
        assert await chosen(daemon, image="python:3.11") == ("docker", "python:3.11")
        said = await refusal(daemon, "image", image="python:3.11", executor="subprocess")
        assert "'subprocess' runs no images: leave it out, or use one of docker" in said
        said = await refusal(daemon, "image", image="no image; rm -rf")
        assert "image" in said


async def test_an_executor_that_no_live_node_opens_is_refused(data_dir: Path) -> None:
    async with daemon_with(data_dir) as daemon:
        said = await refusal(daemon, "executor", executor="kubernetes")
        assert "no live node opens the executor 'kubernetes'" in said
        assert "use one of docker, slurm, subprocess" in said


async def test_more_than_the_executor_can_give_is_refused_with_what_there_is(
    data_dir: Path,
) -> None:
    async with daemon_with(data_dir) as daemon:
        await chosen(daemon, executor="subprocess", cpus=4)
        said = await refusal(daemon, "cpus", executor="docker", cpus=4)
        assert "no node has 4 CPUs for 'docker'" in said
        assert "local has 4 CPUs, 8 GiB and 0 GPUs, by docker (at most 2 CPUs and 1 GiB)" in said


async def test_a_plugin_chooses_where_the_job_names_none(data_dir: Path) -> None:
    chooser = FakeListener(choice="docker")
    async with daemon_with(data_dir, chooser) as daemon:
        assert await chosen(daemon, queue="plain") == ("docker", "python:3.11")
        ((_, asked),) = chooser.heard
        assert asked.executors == ("docker", "slurm", "subprocess")  # type: ignore[attr-defined]
        assert asked.chosen == "subprocess"  # type: ignore[attr-defined]
        assert await chosen(daemon, executor="slurm") == ("slurm", None)
        assert len(chooser.heard) == 1


async def test_a_choice_that_is_none_is_passed_over(data_dir: Path) -> None:
    chooser = FakeListener(choice="mainframe")
    async with daemon_with(data_dir, chooser) as daemon:
        assert await chosen(daemon) == (None, None)
        chooser.choice, chooser.error = "docker", ValueError("no")
        assert await chosen(daemon, queue="boxed") == ("docker", "python:3.11")
        (member,) = daemon.services.listeners._members
        assert member.plugin.tally.failures == 2


async def test_all_executors_are_shown(data_dir: Path) -> None:
    async with daemon_with(data_dir) as daemon:
        nodes = {n["name"]: n for n in (await daemon.call("GET", "/mlops/nodes")).json["nodes"]}
        assert nodes["gpu"]["default_executor"] == "slurm"
        assert nodes["local"]["executors"] == {
            "docker": {
                "images": True,
                "most": {"cpus": 2.0, "memory_bytes": 2**30, "gpus": 0},
            },
            "subprocess": {"images": False, "most": None},
        }
        status = (await daemon.call("GET", "/mlops/status")).json
        assert set(status["executors"]) == {"subprocess"}
        queues = {q["name"]: q for q in (await daemon.call("GET", "/mlops/queues")).json["queues"]}
        assert (queues["boxed"]["executor"], queues["boxed"]["image"]) == ("docker", "python:3.11")
