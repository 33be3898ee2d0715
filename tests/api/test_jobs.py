"""Looking at jobs, listing them, stopping them, their history and environment."""

import json
from typing import Any

import pytest

from runnerd.jobs import Cause, Handle, JobState, Outcome
from tests.api.daemon import JOBS, Daemon
from tests.api.events import read_events

pytestmark = pytest.mark.anyio


async def test_a_running_job_shows_its_last_lines_and_its_time(daemon: Daemon) -> None:
    await daemon.submit()
    running = await daemon.launch()
    running.write(b"first\n" + b"x" * 70_000 + b"\nlast \xff line\n")
    first = (await daemon.call("GET", f"{JOBS}/{running.job_id}")).json
    assert (first["status"], first["phase"]) == ("running", "running")
    assert first["logs"] == "last \ufffd line\n"
    assert first["exit_code"] is None
    second = (await daemon.call("GET", f"{JOBS}/{running.job_id}")).json
    assert second["duration_seconds"] > first["duration_seconds"] > 0


async def test_an_ended_job_says_how(daemon: Daemon) -> None:
    await daemon.submit()
    running = await daemon.launch()
    await running.end(JobState.FAILED, 3, error="ValueError: no", warnings=["no model"])
    job = (await daemon.call("GET", f"{JOBS}/{running.job_id}")).json
    assert (job["status"], job["exit_code"], job["cause"]) == ("failed", 3, "exited")
    assert (job["error"], job["warnings"]) == ("ValueError: no", ["no model"])
    assert job["completed_at"].endswith("Z")


async def test_an_unreadable_log_does_not_hide_the_job(daemon: Daemon) -> None:
    await daemon.submit()
    running = await daemon.launch()
    await daemon.store.note_launch(running.claim, Handle(99, "of a later version"), "0" * 32)
    job = (await daemon.call("GET", f"{JOBS}/{running.job_id}")).json
    assert job["status"] == "running"
    assert job["logs"] == ""
    assert "output" in job["warnings"][0]
    logs = await daemon.call("GET", f"{JOBS}/{running.job_id}/logs")
    assert logs.status == 422
    assert "version 99" in logs.json["detail"]


async def test_jobs_are_listed_newest_first_in_pages(daemon: Daemon) -> None:
    made = [await daemon.submit(experiment_name=f"e{n % 2}") for n in range(5)]
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    while True:
        page = (await daemon.call("GET", JOBS, params=query)).json
        seen += [item["job_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-1]


async def test_filters_choose_jobs(daemon: Daemon) -> None:
    odd = await daemon.submit(
        experiment_name="odd one", model_name="other", tags={"team": "x=y", "solo": ""}
    )
    await daemon.submit()
    await daemon.launch()

    async def chosen(**query: str) -> list[str]:
        page = (await daemon.call("GET", JOBS, params=query)).json
        return [item["job_id"] for item in page["items"]]

    assert await chosen(experiment_name="odd one") == [odd]
    assert await chosen(model_name="other") == [odd]
    assert await chosen(tag="team=x=y") == [odd]
    assert await chosen(tag="solo") == [odd]
    assert await chosen(tag="team=x") == []
    assert await chosen(status="running") == [odd]
    assert len(await chosen(status="queued")) == 1


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=",
        "limit=1.0",
        "limit=٣",
        "status=done",
        "cursor=nonsense",
        "cursor=%00",
        "cursor=" + "x" * 50,
        "cursor=am9iOjk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5",
        "tag==x",
        "sort=up",
        "limit=1&limit=2",
        "experiment_name=%00",
        "model_name=%ff%0a",
    ],
)
async def test_a_bad_query_is_refused(daemon: Daemon, query: str) -> None:
    reply = await daemon.call("GET", f"{JOBS}?{query}")
    assert reply.status == 422, reply.body


async def test_cancelling_is_idempotent_until_the_job_ended_otherwise(daemon: Daemon) -> None:
    queued = await daemon.submit()
    forms: list[dict[str, Any]] = [{}, {"json": {}}, {"data": b""}]
    for options in forms:
        reply = await daemon.call("POST", f"{JOBS}/{queued}/cancel", **options)
        assert (reply.status, reply.json["status"]) == (200, "cancelled")
    await daemon.submit()
    running = await daemon.launch()
    await running.end()
    reply = await daemon.call("POST", f"{JOBS}/{running.job_id}/cancel")
    assert reply.status == 409
    assert "completed" in reply.json["detail"]


async def test_cancel_takes_no_field(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    reply = await daemon.call("POST", f"{JOBS}/{job_id}/cancel", json={"force": True})
    assert reply.status == 422
    assert "force" in reply.json["detail"]
    assert (await daemon.call("POST", f"{JOBS}/{job_id}/cancel", data=b"{")).status == 400


async def test_the_history_is_listed_and_followed(daemon: Daemon) -> None:
    await daemon.submit()
    running = await daemon.launch()
    path = f"{JOBS}/{running.job_id}/events"
    page = (await daemon.call("GET", path, params={"limit": "1"})).json
    assert page["items"][0]["kind"] == "submitted"
    rest = (await daemon.call("GET", path, params={"cursor": page["next_cursor"]})).json
    assert rest["items"][0]["id"] > page["items"][0]["id"]
    assert rest["next_cursor"] is None

    async with read_events(daemon, path) as events:
        seen = [await anext(events) for _ in range(1 + len(rest["items"]))]
        await running.end(JobState.FAILED, 1, error="no")
        seen += [event async for event in events]
    *states, end = seen
    assert [event.kind for event in states] == ["state"] * len(states)
    everything = (await daemon.call("GET", path)).json["items"]
    assert [json.loads(event.data) for event in states] == everything
    assert [event.id for event in states] == [item["id"] for item in everything]
    assert (end.kind, json.loads(end.data)) == ("end", {"status": "failed", "error": "no"})

    async with read_events(daemon, path, last_event_id=states[-2].id) as events:
        assert [event.kind async for event in events] == ["state", "end"]
    lines = await daemon.call("GET", path, params={"follow": "1"})
    assert [json.loads(line) for line in lines.body.splitlines()] == everything


@pytest.mark.parametrize("query", ["cursor=x", "limit=0", "follow=maybe", "colour=red"])
async def test_a_bad_query_of_the_history_is_refused(daemon: Daemon, query: str) -> None:
    job_id = await daemon.submit()
    assert (await daemon.call("GET", f"{JOBS}/{job_id}/events?{query}")).status == 422


async def test_the_environment_is_not_there_before_it_is_resolved(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    reply = await daemon.call("GET", f"{JOBS}/{job_id}/environment")
    assert reply.status == 404
    assert "try again" in reply.json["detail"]


async def test_the_environment_is_described(daemon: Daemon) -> None:
    await daemon.submit()
    running = await daemon.launch()
    plans = daemon.services.settings.data_dir / "environments" / "plans"
    plans.mkdir(parents=True)
    resolution = {
        "lock": "idna==3.10\nnumpy==2.0\n",
        "python": "/usr/bin/python3",
        "python_version": "3.11.7",
        "identity": "x",
        "platform": "linux-x86_64",
    }
    (plans / f"{'0' * 32}.json").write_text(json.dumps(resolution))
    reply = await daemon.call("GET", f"{JOBS}/{running.job_id}/environment")
    assert reply.status == 200, reply.body
    assert reply.json["requirements"] == ["idna==3.10", "numpy==2.0"]
    assert reply.json["python_version"] == "3.11.7"


async def test_every_try_is_listed_with_its_end(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    first = await daemon.launch()
    lost = Outcome(Cause.LOST, detail="its runner vanished")
    await daemon.store.requeue(first.claim, JobState.RUNNING, lost, error="lost", delay=-1)
    second = await daemon.launch()
    await second.end(code=3, state=JobState.FAILED, error="x")
    found = (await daemon.call("GET", f"{JOBS}/{job_id}/attempts")).json["items"]
    assert [(each["number"], each["cause"], each["exit_code"]) for each in found] == [
        (1, "lost", None),
        (2, "exited", 3),
    ]
    assert found[0]["reason"] == "its runner vanished"
    assert found[0]["node"] == "local" and found[1]["started_at"] is not None
    unknown = await daemon.call("GET", f"{JOBS}/{'0' * 32}/attempts")
    assert unknown.status == 404
