"""Queues, priorities, resources and parked jobs over HTTP."""

from typing import Any

import aiohttp
import pytest

from runnerd.jobs import Capacity, JobState
from tests.api.daemon import JOBS, SUBMISSION, UPLOAD, Daemon

pytestmark = pytest.mark.anyio


async def refused(daemon: Daemon, **fields: Any) -> dict[str, Any]:
    reply = await daemon.call("POST", UPLOAD, json=SUBMISSION | fields)
    assert reply.status == 422, reply.body
    answer: dict[str, Any] = reply.json
    return answer


async def test_a_job_tells_its_queue_and_what_it_takes(daemon: Daemon) -> None:
    job_id = await daemon.submit(priority=7, cpus=0.5, memory="1.5GiB")
    job = (await daemon.call("GET", f"{JOBS}/{job_id}")).json
    assert (job["queue"], job["priority"], job["parked"]) == ("default", 7, False)
    assert job["resources"] == {"cpus": 0.5, "memory_bytes": 3 * 2**29, "gpus": 0}
    assert job["waiting_for"] == "a daemon: none that shares this queue is alive"


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("8G", 8 * 2**30), ("8GiB", 8 * 2**30), ("2 GB", 2 * 10**9), ("1kb", 1000)],
)
async def test_memory_has_units(daemon: Daemon, text: str, size: int) -> None:
    job_id = await daemon.submit(memory=text)
    assert (await daemon.store.get_job(job_id)).specification.resources.memory_bytes == size


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("memory", "much"),
        ("memory", -1),
        ("priority", 101),
        ("priority", 0.5),
        ("cpus", -1),
        ("gpus", 1.5),
        ("queue", "nowhere"),
        ("queue", ""),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(
    daemon: Daemon, field: str, value: object
) -> None:
    answer = await refused(daemon, **{field: value})
    assert answer["errors"][0]["loc"] == [field]
    assert field in answer["detail"]


async def test_more_than_any_node_has_is_refused_with_what_there_is(daemon: Daemon) -> None:
    await daemon.store.take_seat("a", "http://a", "a", Capacity(2, 4.0, 8 * 2**30, (0,)))
    await daemon.store.take_seat("b", "http://b", "b", Capacity(2, 16.0, 2**30, ()))
    answer = await refused(daemon, gpus=2)
    assert answer["errors"][0]["loc"] == ["gpus"]
    assert "a has 4 CPUs, 8 GiB and 1 GPU; b has 16 CPUs, 1 GiB and 0 GPUs" in answer["detail"]
    assert (
        "no node has 16 CPUs and 2 GiB" in (await refused(daemon, cpus=16, memory="2G"))["detail"]
    )
    await daemon.submit(cpus=16, memory="1G")


async def test_the_same_fields_as_a_form(daemon: Daemon) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b"print('x')\n", filename="train.py")
    fields = {"priority": "-3", "cpus": "1.5", "memory": "1G", "gpus": "0", "max_retries": "1"}
    for name, value in (SUBMISSION | fields).items():
        if name != "script_content":
            form.add_field(name, value)
    reply = await daemon.call("POST", UPLOAD, data=form)
    assert reply.status == 202, reply.body
    specification = (await daemon.store.get_job(reply.json["job_id"])).specification
    assert (specification.priority, specification.max_retries) == (-3, 1)
    assert specification.resources.model_dump() == {"cpus": 1.5, "memory_bytes": 2**30, "gpus": 0}


async def test_queues_are_listed_with_what_they_hold(daemon: Daemon) -> None:
    await daemon.submit()
    await daemon.submit()
    await daemon.claim()
    (queue,) = (await daemon.call("GET", "/mlops/queues")).json["queues"]
    assert queue == {
        "name": "default",
        "priority": 0,
        "max_running": None,
        "executor": None,
        "image": None,
        "queued": 1,
        "running": 1,
    }
    found = (await daemon.call("GET", JOBS, params={"queue": "default"})).json
    assert len(found["items"]) == 2
    assert (await daemon.call("GET", JOBS, params={"queue": "other"})).json["items"] == []


async def test_a_parked_job_is_found_and_released(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    claim = await daemon.claim()
    assert (await daemon.call("POST", f"{JOBS}/{job_id}/release")).status == 409
    await daemon.store.finish(
        claim, JobState.PREPARING, JobState.FAILED, error="lost; parked", parked=True
    )
    assert (await daemon.call("GET", JOBS)).json["items"][0]["status"] == "failed"
    parked = (await daemon.call("GET", JOBS, params={"parked": "true"})).json["items"]
    assert [(job["job_id"], job["parked"]) for job in parked] == [(job_id, True)]
    released = await daemon.call("POST", f"{JOBS}/{job_id}/release")
    assert (released.status, released.json["status"]) == (202, "queued")
    again = await daemon.call("POST", f"{JOBS}/{job_id}/release")
    assert again.status == 409 and "not parked" in again.json["detail"]
