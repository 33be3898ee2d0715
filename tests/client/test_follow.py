"""Following a stream: each line once, whatever happens to the connection."""

import time

import pytest
from anyio import to_thread

from runnerd.client import Client, DaemonAway, RequestRefused
from runnerd.client.follow import ServerEvent, follow, parse
from runnerd.client.transport import Transport
from tests.client.conftest import Peer, json_of, stream_of

pytestmark = pytest.mark.anyio
JOB = "0" * 32


def log_event(text: str, end: int) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.removesuffix("\n").split("\n"))
    return f"event: log\nid: {end}\n{lines}\n".encode()


def end_event(offset: int) -> bytes:
    return f'event: end\nid: {offset}\ndata: {{"status": "completed", "error": null}}\n\n'.encode()


async def log_of(peer: Peer) -> str:
    def read() -> str:
        with Client(peer.url) as client:
            return "".join(client.follow_log(JOB))

    return await to_thread.run_sync(read)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_events_are_cut_out_of_any_pieces(size: int) -> None:
    stream = (
        b"retry: 1000\n\n: a comment\n\nevent: log\nid: 8\ndata: \xc3\xa4\ndata:\ndata:  b\n\n"
        b"data: 50%\r100%\n\nevent: log\nid: 9\ndata: not whole"
    )
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]

    assert list(parse(pieces)) == [
        ServerEvent("log", 8, "ä\n\n b"),
        ServerEvent("message", None, "50%\r100%"),
    ]


async def test_separators_that_are_no_line_ends_stay_in_the_text(peer: Peer) -> None:
    text = "a\u2028b\x0bc\x85d\n"
    peer.turns = [stream_of(log_event(text, len(text.encode())) + end_event(10))]
    assert await log_of(peer) == text


async def test_after_a_cut_each_line_comes_once(peer: Peer) -> None:
    peer.turns = [
        stream_of(
            log_event("1\n2\n", 4) + log_event("3\n", 6) + b"event: log\nid: 8\nda", broken=True
        ),
        stream_of(b"", broken=True),
        stream_of(log_event("3\n", 6) + log_event("4\n", 8) + log_event("5", 9) + end_event(9)),
    ]

    assert await log_of(peer) == "1\n2\n3\n4\n5"

    asked_from = [request.headers.get("Last-Event-ID") for request in peer.seen]
    assert asked_from == [None, "6", "6"]
    assert peer.seen[0].query["follow"] == "true"
    assert peer.seen[0].headers["Accept"] == "text/event-stream"


async def test_an_end_before_the_end_is_no_end(peer: Peer) -> None:
    peer.turns = [stream_of(log_event("1\n", 2)), stream_of(log_event("2\n", 4) + end_event(4))]
    assert await log_of(peer) == "1\n2\n"


async def test_a_daemon_that_is_restarting_is_waited_for(peer: Peer) -> None:
    busy = json_of({"detail": "stopping"}, status=503)
    peer.turns = [stream_of(log_event("1\n", 2), broken=True), busy, stream_of(end_event(2))]
    assert await log_of(peer) == "1\n"


async def test_an_unknown_job_is_refused_at_once(peer: Peer) -> None:
    peer.turns = [json_of({"detail": "no such job"}, status=404)]
    with pytest.raises(RequestRefused, match="no such job"):
        await log_of(peer)
    assert len(peer.seen) == 1


async def test_a_daemon_that_stays_away_is_given_up(peer: Peer) -> None:
    busy = json_of({"detail": "stopping"}, status=503)
    peer.turns = [stream_of(log_event("1\n", 2), broken=True), busy]
    transport = Transport(peer.url, None, 5)

    def read() -> None:
        started = time.monotonic()
        with pytest.raises(RequestRefused, match="stopping"):
            list(follow(transport, "/logs", patience=0.5))
        assert time.monotonic() - started < 5

    await to_thread.run_sync(read)
    transport.close()


async def test_the_first_connection_is_not_waited_for(free_port: int) -> None:
    transport = Transport(f"http://127.0.0.1:{free_port}", None, 5)
    with pytest.raises(DaemonAway, match="connection refused"):
        list(follow(transport, "/logs"))
    transport.close()


async def test_states_come_as_objects(peer: Peer) -> None:
    peer.turns = [
        stream_of(b'event: state\nid: 1\ndata: {"phase": "queued"}\n\n', broken=True),
        stream_of(
            b'event: state\nid: 1\ndata: {"phase": "queued"}\n\n'
            b'event: state\nid: 2\ndata: {"phase": "completed"}\n\n' + end_event(2)
        ),
    ]

    def read() -> list[str]:
        with Client(peer.url) as client:
            return [event["phase"] for event in client.follow_events(JOB)]

    assert await to_thread.run_sync(read) == ["queued", "completed"]
