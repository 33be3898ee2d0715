"""What a job's runs logged: listed in pages, downloaded in ranges."""

from collections.abc import AsyncIterator

import pytest
from yarl import URL

from runnerd.plugins import Run
from tests.api.daemon import JOBS, Daemon

pytestmark = pytest.mark.anyio

FILES = {
    "1/r1/artifacts/a.txt": b"first",
    "1/r1/artifacts/a/b.txt": b"in a folder",
    "1/r1/artifacts/plots/loss ü.png": b"\x89PNG" * 100,
    "1/r1/artifacts/empty": b"",
    "2/r2/artifacts/a.txt": b"second",
    "1/models/m-1/artifacts/MLmodel": b"flavors: {}",
    "1/foreign/artifacts/secret.txt": b"not this job's",
}


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


@pytest.fixture
async def path(daemon: Daemon) -> str:
    """The artifacts of a job with two runs and a model."""
    job_id = await daemon.submit()
    await daemon.launch()
    for run_id, experiment_id in (("r1", "1"), ("r2", "2")):
        daemon.tracker.runs[run_id] = Run(run_id, experiment_id, "FINISHED")
        await daemon.store.note_run(job_id, run_id)
    await daemon.store.note_run(job_id, "deleted")
    await daemon.store.note_model(job_id, "m-1", "r1")
    for key, content in FILES.items():
        await daemon.services.storage.put(f"artifacts/{key}", once(content))
    return f"{JOBS}/{job_id}/artifacts"


async def test_everything_is_listed_and_can_be_downloaded(daemon: Daemon, path: str) -> None:
    items = (await daemon.call("GET", path)).json["items"]
    assert [(item["run_id"], item["path"], item["size"]) for item in items] == [
        ("r1", "a/b.txt", 11),
        ("r1", "a.txt", 5),
        ("r1", "empty", 0),
        ("r1", "plots/loss ü.png", 400),
        ("r2", "a.txt", 6),
        ("r1", "models/m-1/MLmodel", 11),
    ]
    for item in items:
        query = {"run_id": item["run_id"]}
        reply = await daemon.call("GET", f"{path}/{item['path']}", params=query)
        assert (reply.status, len(reply.body)) == (200, item["size"]), item
        assert reply.headers["Content-Disposition"].startswith("attachment")
        assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert (await daemon.call("GET", f"{path}/a.txt")).body == b"first"


async def test_pages_hold_everything_once(daemon: Daemon, path: str) -> None:
    whole = (await daemon.call("GET", path)).json["items"]
    seen: list[object] = []
    query = {"limit": "2"}
    while True:
        page = (await daemon.call("GET", path, params=query)).json
        seen += page["items"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == whole


async def test_a_file_is_sent_in_ranges(daemon: Daemon, path: str) -> None:
    part = await daemon.call("GET", f"{path}/a.txt", headers={"Range": "bytes=1-2"})
    assert (part.status, part.body) == (206, b"ir")
    assert part.headers["Content-Range"] == "bytes 1-2/5"
    beyond = await daemon.call("GET", f"{path}/a.txt", headers={"Range": "bytes=5-"})
    assert beyond.status == 416
    head = await daemon.call("HEAD", f"{path}/a.txt")
    assert (head.status, head.headers["Content-Length"]) == (200, "5")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("nothing.txt", 404),
        ("plots", 404),
        ("x" * 3000, 404),
        ("x" * 300, 404),
        ("%2e%2e/%2e%2e/%2e%2e/foreign/artifacts/secret.txt", 422),
        ("..%2f..%2fforeign%2fartifacts%2fsecret.txt", 422),
        ("models/..%2f..%2fr2/artifacts/a.txt", 422),
        ("models/m-2/MLmodel", 404),
        ("a%00b", 422),
        ("a%5Cb", 422),
        ("a//b", 422),
        ("%ff", 404),
    ],
)
async def test_no_path_leaves_the_jobs_own(
    daemon: Daemon, path: str, name: str, status: int
) -> None:
    url = URL(f"{daemon.url}{path}/{name}", encoded=True)
    async with daemon.session.get(url) as reply:
        assert reply.status == status, await reply.text()


@pytest.mark.parametrize("cursor", ["x", "W10=", "WyJhIl0=", "WzEsMl0=", "%00", "ü", "W" * 9000])
async def test_a_bad_cursor_is_refused(daemon: Daemon, path: str, cursor: str) -> None:
    reply = await daemon.call("GET", path, params={"cursor": cursor})
    assert reply.status in (400, 422), reply.body


async def test_a_job_without_runs_has_no_artifacts(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    reply = await daemon.call("GET", f"{JOBS}/{job_id}/artifacts")
    assert reply.json == {"items": [], "next_cursor": None}


async def test_a_tracker_that_is_away_is_said(daemon: Daemon, path: str) -> None:
    daemon.tracker.away = True
    reply = await daemon.call("GET", path)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
