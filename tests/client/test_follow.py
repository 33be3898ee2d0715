"""Following a stream: everything once, whatever happens to the connection."""

import time

import pytest
from anyio import to_thread

from runnerd.client import Client, DaemonAway, RequestRefused
from runnerd.client.follow import ServerEvent, follow_events, parse
from runnerd.client.transport import Transport
from tests.client.conftest import Peer, json_of, stream_of

pytestmark = pytest.mark.anyio
JOB = "0" * 32


RUNNING = json_of({"status": "running"})
COMPLETED = json_of({"status": "completed"})


def state_event(number: int, phase: str) -> bytes:
    return f'event: state\nid: {number}\ndata: {{"phase": "{phase}"}}\n\n'.encode()


def end_event(number: int) -> bytes:
    return f'event: end\nid: {number}\ndata: {{"status": "completed", "error": null}}\n\n'.encode()


async def log_of(peer: Peer) -> bytes:
    def read() -> bytes:
        with Client(peer.url) as client:
            return b"".join(client.follow_log(JOB))

    return await to_thread.run_sync(read)


async def phases_of(peer: Peer) -> list[str]:
    def read() -> list[str]:
        with Client(peer.url) as client:
            return [event["phase"] for event in client.follow_events(JOB)]

    return await to_thread.run_sync(read)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_events_are_cut_out_of_any_pieces(size: int) -> None:
    stream = (
        b"retry: 1000\n\n: a comment\n\nevent: log\nid: 8\ndata: \xc3\xa4\ndata:\ndata:  b\n\n"
        b"data: 50%\n\nevent: log\nid: 9\ndata: not whole"
    )
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert list(parse(pieces)) == [
        ServerEvent("log", 8, "ä\n\n b"),
        ServerEvent("message", None, "50%"),
    ]


async def test_the_output_comes_byte_by_byte_as_it_is(peer: Peer) -> None:
    output = b"\r 50%\r100%\r\nno UTF-8: \xff\xfe\x00\na\xe2\x80\xa8b\x0c, and no end of line"
    peer.turns = [COMPLETED, stream_of(output)]
    assert await log_of(peer) == output
    assert peer.seen[1].query["follow"] == "true"


async def test_after_a_cut_each_byte_comes_once(peer: Peer) -> None:
    peer.turns = [
        *(RUNNING, stream_of(b"1\n2", broken=True)),
        *(RUNNING, stream_of(b"", broken=True)),
        *(COMPLETED, stream_of(b"\n3\n")),
    ]
    assert await log_of(peer) == b"1\n2\n3\n"
    asked_from = [request.headers.get("Last-Event-ID") for request in peer.seen[1::2]]
    assert asked_from == [None, "3", "3"]


async def test_a_stream_that_closes_before_the_job_has_ended_is_not_the_last(peer: Peer) -> None:
    peer.turns = [RUNNING, stream_of(b"1\n"), COMPLETED, stream_of(b"2\n")]
    assert await log_of(peer) == b"1\n2\n"


async def test_after_a_cut_each_event_comes_once(peer: Peer) -> None:
    peer.turns = [
        stream_of(state_event(1, "queued") + state_event(2, "running")[:-9], broken=True),
        stream_of(b"", broken=True),
        stream_of(state_event(1, "queued") + state_event(2, "running") + end_event(2)),
    ]
    assert await phases_of(peer) == ["queued", "running"]
    asked_from = [request.headers.get("Last-Event-ID") for request in peer.seen]
    assert asked_from == [None, "1", "1"]
    assert peer.seen[0].headers["Accept"] == "text/event-stream"


async def test_a_daemon_that_is_restarting_is_waited_for(peer: Peer) -> None:
    busy = json_of({"detail": "stopping"}, status=503)
    peer.turns = [stream_of(state_event(1, "queued"), broken=True), busy, stream_of(end_event(1))]
    assert await phases_of(peer) == ["queued"]


async def test_an_unknown_job_is_refused_at_once(peer: Peer) -> None:
    peer.turns = [json_of({"detail": "no such job"}, status=404)]
    with pytest.raises(RequestRefused, match="no such job"):
        await log_of(peer)
    assert len(peer.seen) == 1


async def test_a_daemon_that_stays_away_is_given_up(peer: Peer) -> None:
    busy = json_of({"detail": "stopping"}, status=503)
    peer.turns = [stream_of(state_event(1, "queued"), broken=True), busy]
    transport = Transport(peer.url, None, 5)

    def read() -> None:
        started = time.monotonic()
        with pytest.raises(RequestRefused, match="stopping"):
            list(follow_events(transport, "/events", patience=0.5))
        assert time.monotonic() - started < 5

    await to_thread.run_sync(read)
    transport.close()


async def test_the_first_connection_is_not_waited_for(free_port: int) -> None:
    transport = Transport(f"http://127.0.0.1:{free_port}", None, 5)
    with pytest.raises(DaemonAway, match="connection refused"):
        list(follow_events(transport, "/events"))
    transport.close()
