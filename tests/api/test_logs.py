"""The whole log: ranges, and following it without a lost or doubled line."""

import asyncio
import json

import pytest

from runnerd.api.joblogs import JobLog
from runnerd.api.logparts import LocalLog, LogPart
from runnerd.jobs import JobState
from tests.api.daemon import JOBS, Daemon, Running
from tests.api.events import SentEvent, read_events

pytestmark = pytest.mark.anyio

CONTENT = "".join(f"line {n} ü\n" for n in range(1000)).encode()


async def running_job(daemon: Daemon) -> tuple[Running, str]:
    await daemon.submit()
    running = await daemon.launch()
    return running, f"{JOBS}/{running.job_id}/logs"


async def test_a_log_is_sent_whole_and_in_ranges(daemon: Daemon) -> None:
    running, path = await running_job(daemon)
    running.write(CONTENT)
    whole = await daemon.call("GET", path)
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert whole.headers["Content-Length"] == str(len(CONTENT))
    for asked, expected in (
        ("bytes=0-9", CONTENT[:10]),
        ("bytes=100-", CONTENT[100:]),
        ("bytes=-5", CONTENT[-5:]),
        ("bytes=0-99999999", CONTENT),
    ):
        part = await daemon.call("GET", path, headers={"Range": asked})
        assert (part.status, part.body) == (206, expected)
        assert part.headers["Content-Range"].endswith(f"/{len(CONTENT)}")
    head = await daemon.call("HEAD", path)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(CONTENT)))


async def test_a_range_behind_the_end_is_refused(daemon: Daemon) -> None:
    running, path = await running_job(daemon)
    running.write(b"abc")
    reply = await daemon.call("GET", path, headers={"Range": "bytes=3-"})
    assert (reply.status, reply.headers["Content-Range"]) == (416, "bytes */3")
    for unread in ("bytes=a-b", "lines=0-1", "bytes=5-2", "bytes=0-1,2-3"):
        assert (await daemon.call("GET", path, headers={"Range": unread})).body == b"abc"


async def test_a_job_that_has_not_run_has_an_empty_log(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    reply = await daemon.call("GET", f"{JOBS}/{job_id}/logs")
    assert (reply.status, reply.body) == (200, b"")


async def test_a_follower_of_a_queued_job_waits_for_its_output(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    async with read_events(daemon, f"{JOBS}/{job_id}/logs") as events:
        running = await daemon.launch()
        running.write(b"one\ntwo\n")
        assert await anext(events) == SentEvent("log", 8, "one\ntwo")
        running.write(b"thr")
        await daemon.call("GET", "/healthz")
        running.write(b"ee\nno end")
        assert await anext(events) == SentEvent("log", 14, "three")
        await running.end(JobState.FAILED, 1, error="ValueError: x")
        rest = [event async for event in events]
    assert rest[0] == SentEvent("log", 20, "no end")
    assert (rest[1].kind, len(rest)) == ("end", 2)
    assert json.loads(rest[1].data) == {"status": "failed", "error": "ValueError: x"}


async def test_a_follower_who_comes_between_claim_and_launch_misses_nothing(
    daemon: Daemon,
) -> None:
    job_id = await daemon.submit()
    claim = await daemon.claim()
    history = f"{JOBS}/{job_id}/events"
    async with (
        read_events(daemon, f"{JOBS}/{job_id}/logs") as lines,
        read_events(daemon, history) as states,
    ):
        for kind in ("noted", "noted again"):  # two ticks, after which both have looked
            await daemon.store.note_event(claim, kind)
            async for state in states:
                if json.loads(state.data)["kind"] == kind:
                    break
        running = await daemon.launch(claim)
        running.write(b"one\n")
        await running.end()
        assert [(event.kind, event.id) async for event in lines] == [("log", 4), ("end", 4)]


async def test_the_logs_of_several_attempts_are_one(daemon: Daemon) -> None:
    running, _ = await running_job(daemon)
    contents = [b"first attempt\n", b"", b"third\n"]
    executor = daemon.services.executors.default
    parts: dict[int, LogPart] = {}
    for number, content in enumerate(contents):
        folder = running.output.parent / str(number)
        folder.mkdir()
        (folder / "output.log").write_bytes(content)
        handle = executor.handle_for(f"{running.job_id}-{number}", folder)
        parts[number] = LocalLog(executor, handle)

    async def _find() -> dict[int, LogPart]:
        return parts

    log = JobLog(_find)
    await log.refresh()
    whole = b"".join(contents)
    assert await log.size() == len(whole)
    for start in range(len(whole)):
        assert whole[start:].startswith(await log.read(start, 5) or b"nothing")
    assert await log.read(len(whole), 5) == b""
    assert await log.tail(3) == "rd\n"


async def test_a_cancelled_queued_job_ends_its_followers(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    async with read_events(daemon, f"{JOBS}/{job_id}/logs") as events:
        await daemon.call("POST", f"{JOBS}/{job_id}/cancel")
        assert [event.kind async for event in events] == ["end"]


async def test_progress_bars_are_seen_as_they_move(daemon: Daemon) -> None:
    running, path = await running_job(daemon)
    async with read_events(daemon, path) as events:
        running.write(b"\r10%\r20%")
        assert (await anext(events)).data.endswith("10%")
        running.write(b"\r\ndone\r\n")
        assert (await anext(events)).data == "20%\ndone"
        await running.end()


async def test_a_line_without_end_is_sent_in_parts(daemon: Daemon) -> None:
    running, path = await running_job(daemon)
    text = "ü" * (3 * 512 * 1024 + 7)
    running.write(text.encode())
    await running.end()
    async with read_events(daemon, path) as events:
        *parts, end = [event async for event in events]
    assert "".join(part.data for part in parts) == text
    assert parts[-1].id == end.id == len(text.encode())
    assert len(parts) > 1


async def test_plain_following_sends_every_byte(daemon: Daemon) -> None:
    running, path = await running_job(daemon)
    running.write(b"\xff\x00 raw ")

    async def write_on() -> None:
        running.write(CONTENT)
        await running.end()

    following = asyncio.create_task(daemon.call("GET", path, params={"follow": "true"}))
    await write_on()
    reply = await following
    assert reply.body == b"\xff\x00 raw " + CONTENT


async def test_twenty_thousand_lines_arrive_once_whatever_breaks(daemon: Daemon) -> None:
    """Written while they are followed, by a client whose connection breaks after every event."""
    running, path = await running_job(daemon)
    total = 20_000
    expected = [f"{n} {'ü' * (n % 40)}" for n in range(total)]

    async def write() -> None:
        for begin in range(0, total, 500):
            block = "\n".join(expected[begin : begin + 500]) + "\n"
            content = block.encode()
            running.write(content[:777])  # in the middle of a line, or of a character
            await asyncio.sleep(0)
            running.write(content[777:])
            await asyncio.sleep(0.02)
        await running.end()

    writing = asyncio.create_task(write())
    seen: list[str] = []
    last, connections, ended = 0, 0, False
    while not ended:
        connections += 1
        async with read_events(daemon, path, last_event_id=last or None) as events:
            async for event in events:
                if event.kind == "end":
                    ended = True
                    break
                assert event.id > last
                last = event.id
                seen += event.data.split("\n")
                if connections < 15:
                    break
    await writing
    assert seen == expected
    assert last == running.output.stat().st_size
    assert connections >= 5


async def test_many_followers_see_the_same(daemon: Daemon) -> None:
    running, path = await running_job(daemon)

    async def follow() -> str:
        async with read_events(daemon, path) as events:
            return "\n".join([event.data async for event in events if event.kind == "log"])

    followers = [asyncio.create_task(follow()) for _ in range(20)]
    for begin in range(0, len(CONTENT), 1000):
        running.write(CONTENT[begin : begin + 1000])
        await asyncio.sleep(0)
    await running.end()
    assert set(await asyncio.gather(*followers)) == {CONTENT.decode().removesuffix("\n")}


async def test_streams_end_when_the_daemon_stops(daemon: Daemon) -> None:
    _, path = await running_job(daemon)
    async with read_events(daemon, path) as events:
        stopping = asyncio.create_task(daemon.stop())
        async with asyncio.timeout(3):
            assert [event async for event in events] == []
        await stopping


@pytest.mark.parametrize("identity", ["-1", "x", "1.5", "9" * 30])
async def test_a_bad_last_event_id_is_refused(daemon: Daemon, identity: str) -> None:
    _, path = await running_job(daemon)
    reply = await daemon.call(
        "GET", path, params={"follow": "true"}, headers={"Last-Event-ID": identity}
    )
    assert reply.status == 422


async def test_an_id_behind_the_end_is_the_end(daemon: Daemon) -> None:
    running, path = await running_job(daemon)
    running.write(b"all\n")
    await running.end()
    headers = {"Last-Event-ID": "9" * 18, "Accept": "text/event-stream"}
    async with asyncio.timeout(3):
        reply = await daemon.call("GET", path, params={"follow": "true"}, headers=headers)
    assert b"event: end\nid: 4\n" in reply.body
    assert b"event: log" not in reply.body


@pytest.mark.parametrize("query", ["follow=perhaps", "tail=5"])
async def test_a_bad_query_is_refused(daemon: Daemon, query: str) -> None:
    _, path = await running_job(daemon)
    assert (await daemon.call("GET", f"{path}?{query}")).status == 422
