"""Any daemon of the queue serves the output of any job, wherever it lies."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.daemon.conftest import Start
from tests.faults.watching import until
from tests.postgres import PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
# Writes what the files 0, 1, 2... in the folder hold, until there is one called "end" and no next.
TOLD = """
import os, pathlib, sys, time
folder, number = pathlib.Path("{folder}"), 0
while True:
    over, part = (folder / "end").exists(), folder / str(number)
    if part.exists():
        sys.stdout.write(part.read_text())
        sys.stdout.flush()
        number += 1
    elif over:
        break
    time.sleep(0.01)
"""


class Script:
    """A script on one node that writes what the test says."""

    def __init__(self, folder: Path, daemon: RunningDaemon) -> None:
        folder.mkdir()
        self._folder = folder
        self._parts: list[str] = []
        self.job_id = daemon.submit(TOLD.format(folder=folder))["job_id"]
        self.path = f"/mlops/training/jobs/{self.job_id}/logs"
        wait_for(daemon, self.job_id, "started")

    def write(self, content: str) -> None:
        new = self._folder / "new"
        new.write_text(content)
        new.rename(self._folder / str(len(self._parts)))
        self._parts.append(content)

    def end(self) -> None:
        (self._folder / "end").touch()

    @property
    def written(self) -> str:
        return "".join(self._parts)

    def wait_until_read(self, daemon: RunningDaemon) -> None:
        with daemon.client() as client:
            until(lambda: client.get(self.path).text == self.written, pause=0.02)


def on_one(start_node: Start) -> tuple[RunningDaemon, RunningDaemon]:
    """Start two daemons of which only the first claims."""
    one, two = start_node("one", "a"), start_node("two", "b")
    with two.client() as client:
        assert client.post("/mlops/drain").status_code == 200
    return one, two


def test_the_whole_a_range_and_the_tail(start_node: Start, tmp_path: Path) -> None:
    one, two = on_one(start_node)
    script = Script(tmp_path / "script", one)
    with one.client() as at_one, two.client() as at_two:
        assert at_two.get(script.path).content == b""
        assert at_two.get(script.path, headers={"Range": "bytes=0-5"}).status_code == 416
        script.write("".join(f"line {number} ü\n" for number in range(60_000)))
        script.wait_until_read(one)
        for headers in (
            {},
            {"Range": "bytes=0-9"},
            {"Range": "bytes=300000-"},
            {"Range": "bytes=-7"},
            {"Range": "bytes=99999999-"},
        ):
            here, there = (client.get(script.path, headers=headers) for client in (at_one, at_two))
            assert there.content == here.content or there.status_code == 416
            for name in ("Content-Type", "Content-Range", "Content-Length"):
                if there.status_code != 416:
                    assert there.headers.get(name) == here.headers.get(name)
            assert there.status_code == here.status_code
        head = at_two.head(script.path)
        assert int(head.headers["Content-Length"]) == len(script.written.encode())
    job = two.job(script.job_id)
    assert (job["logs"], job["warnings"]) == (one.job(script.job_id)["logs"], [])
    assert job["logs"].endswith("line 59999 ü\n")
    script.end()
    two.ended(script.job_id)


def test_following_misses_and_repeats_nothing_though_the_owner_dies(
    start_node: Start, tmp_path: Path
) -> None:
    one, two = on_one(start_node)
    script = Script(tmp_path / "script", one)
    for round_ in range(3):
        script.write("".join(f"{round_} {number}\n" for number in range(2000)) + "half a line ")
        script.write("and its end\n")
    with follow(two, script.path) as lines:
        assert "".join(_read_data(lines, len(script.written))) == script.written
        one.stop(signal.SIGKILL)
        again = start_node("one", "a")
        assert again.url != one.url
        script.write("after the kill\n")
        script.end()
        rest = list(lines)
    assert next(line for line in rest if line.startswith("data: ")) == "data: after the kill"
    assert "event: end" in rest
    with follow(two, script.path, {"Last-Event-ID": "12"}) as lines:
        text = "".join(_read_data(lines, len(script.written) - 12))
    assert text == script.written[12:]
    with two.client() as client:
        assert client.get(f"{script.path}?follow=true").text == script.written
    assert two.ended(script.job_id)["exit_code"] == 0


@contextmanager
def follow(
    daemon: RunningDaemon, path: str, headers: Mapping[str, str] | None = None
) -> Iterator[Iterator[str]]:
    accept = {"Accept": "text/event-stream", **(headers or {})}
    with (
        daemon.client(headers=accept) as client,
        client.stream("GET", f"{path}?follow=true") as answer,
    ):
        yield answer.iter_lines()


def _read_data(lines: Iterator[str], size: int) -> list[str]:
    """Read whole lines of a log out of its events, until ``size`` bytes were read."""
    found: list[str] = []
    for line in lines:
        if line.startswith("data: "):
            found.append(line.removeprefix("data: ") + "\n")
            size -= len(found[-1])
            if size == 0:
                break
    return found


def test_attempts_on_two_nodes_are_one_log(start_node: Start, tmp_path: Path) -> None:
    one, two = on_one(start_node)
    job_id = one.submit("import os; print('ran as', os.environ['RUNNERD_JOB_ID'])")["job_id"]
    one.ended(job_id)
    with one.client() as at_one, two.client() as at_two:
        at_one.post("/mlops/drain")
        at_two.post("/mlops/resume")
        assert at_one.post(f"/mlops/training/jobs/{job_id}/retry").status_code == 202
        assert two.ended(job_id)["attempt"] == 2
        line = f"ran as {job_id}\n"
        for client in (at_one, at_two):
            path = f"/mlops/training/jobs/{job_id}/logs"
            assert client.get(path).text == 2 * line
            assert client.get(f"{path}?follow=true").text == 2 * line
            for attempt in (1, 2):
                assert client.get(f"{path}?attempt={attempt}").text == line
            assert client.get(f"{path}?attempt=3").status_code == 404
            assert client.get(f"{path}?attempt=0").status_code == 422


def test_a_client_reaches_no_more_through_another_daemon(
    start_node: Start, tmp_path: Path, database: str
) -> None:
    one, two = on_one(start_node)
    script = Script(tmp_path / "script", one)
    script.write("secret\n")
    script.wait_until_read(one)
    made = subprocess.run(
        [sys.executable, "-m", "runnerd", "token", "create", "alice"],
        env={"RUNNERD_DATABASE_URL": database, "RUNNERD_DATA_DIR": str(tmp_path / "two")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    token = made.stdout.split()[-1]
    with two.client() as client:
        assert client.get(script.path).status_code == 401
        known = {"Authorization": f"Bearer {token}"}
        assert client.get(script.path, headers=known).text == "secret\n"
    open_to_all = start_node("three", "c", RUNNERD_SERVER_ALLOW_UNAUTHENTICATED="true")
    with open_to_all.client() as client:
        refused = client.get(script.path)
        assert refused.status_code == 401 and "secret" not in refused.text
        assert "The node 'a'" in refused.json()["detail"]
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert client.get(script.path, headers=known).text == "secret\n"
        script.end()
        client.post(f"/mlops/training/jobs/{script.job_id}/cancel")


def test_a_node_that_is_away_is_named_at_once(
    start_node: Start, tmp_path: Path, postgres: PostgresServer, database: str
) -> None:
    one, two = on_one(start_node)
    script = Script(tmp_path / "script", one)
    one.stop(signal.SIGKILL)
    with two.client() as client:
        for seen in ("unreachable", "away"):
            begun = time.monotonic()
            refused = client.get(script.path)
            assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1
            assert "the node 'a'" in refused.json()["detail"]
            assert ("last seen" in refused.json()["detail"]) is (seen == "away")
            job = client.get(f"/mlops/training/jobs/{script.job_id}").json()
            assert (job["logs"], "the node 'a'" in job["warnings"][0]) == ("", True)
            assert time.monotonic() - begun < 2
            _set_nodes(postgres, database, "seen_at = seen_at - interval '1 hour'")
    again = start_node("one", "a")
    script.write("still here\n")
    script.wait_until_read(two)
    script.end()
    assert again.ended(script.job_id)["attempt"] == 1


def test_a_question_is_passed_on_once(
    start_node: Start, tmp_path: Path, postgres: PostgresServer, database: str
) -> None:
    one, two = on_one(start_node)
    script = Script(tmp_path / "script", one)
    _set_nodes(postgres, database, f"url = '{two.url}'")
    with two.client() as client:
        refused = client.get(script.path)
    assert refused.status_code == 503 and "server.node_url" in refused.json()["detail"]
    script.end()
    one.ended(script.job_id)


def test_an_ended_log_is_read_from_a_shared_storage_while_its_node_is_away(
    start_node: Start, tmp_path: Path
) -> None:
    shared = {
        "RUNNERD_PLUGINS_LOCAL_ROOT": str(tmp_path / "shared"),
        "RUNNERD_PLUGINS_LOCAL_SHARED": "true",
    }
    one, two = start_node("one", "a", **shared), start_node("two", "b", **shared)
    with two.client() as client:
        client.post("/mlops/drain")
    job_id = one.submit("print(*range(100_000), sep='\\n')")["job_id"]
    one.ended(job_id)
    path = f"/mlops/training/jobs/{job_id}/logs"
    written = "".join(f"{number}\n" for number in range(100_000))
    one.stop()
    with two.client() as client:
        assert client.get(path).text == written
        assert client.get(path, headers={"Range": "bytes=-6"}).text == "99999\n"
        assert client.get(f"{path}?follow=true").text == written
    job = two.job(job_id)
    assert job["logs"].endswith("\n99999\n") and "output" not in str(job["warnings"])


def _set_nodes(postgres: PostgresServer, database: str, change: str) -> None:
    postgres.query_at(database, f"UPDATE nodes SET {change} WHERE name = 'a'")
