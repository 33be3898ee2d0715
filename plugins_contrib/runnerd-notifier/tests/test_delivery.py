"""What is sent, what happens when it is not taken, and that nothing is lost."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from conftest import SECRET, Receiver, event_in, status, taken

from runnerd.jobs import JobState
from runnerd_notifier import Notifier, NotifierSettings
from runnerd_notifier.command import main
from runnerd_notifier.queue import Delivery, Queue
from runnerd_notifier.signature import verify

MakeNotifier = Callable[..., Notifier]
COMPLETED = event_in(JobState.COMPLETED, 7, "completed")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "plugins" / "notifier" / "queue.db"


@pytest.fixture
def notifier(receiver: Receiver, file: Path) -> Iterator[MakeNotifier]:
    """Make notifiers of one queue that send to the receiver; they are closed at the end."""
    made = []

    def make(**changes: Any) -> Notifier:
        fields = {
            "url": receiver.url,
            "secret": SECRET,
            "allow_networks": ["127.0.0.0/8"],
            "timeout": 5,
            "first_pause": 0.05,
            "longest_pause": 0.2,
            **changes,
        }
        settings = NotifierSettings.model_validate(fields)
        made.append(Notifier(settings, file, "http://runnerd.example.org/"))
        return made[-1]

    yield make
    for each in made:
        each.close()


def dead(file: Path) -> list[Delivery]:
    queue = Queue(file)
    try:
        return queue.dead()
    finally:
        queue.close()


def until_dead(file: Path) -> Delivery:
    deadline = time.monotonic() + 60
    while not (found := dead(file)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found[0]


def test_an_event_arrives_signed(receiver: Receiver, notifier: MakeNotifier) -> None:
    notifier().job_changed(COMPLETED)
    request = receiver.received.get(timeout=30)
    assert request.path == "/hook?a=b"
    told = json.loads(request.body)
    assert (told["event"], told["state"], told["attempt"]) == ("completed", "completed", 1)
    assert told["job"] == f"http://runnerd.example.org/mlops/training/jobs/{COMPLETED.job_id}"
    delivery = request.headers["Runnerd-Delivery"]
    assert delivery == told["id"] == f"{COMPLETED.job_id}-7"
    signature = request.headers["Runnerd-Signature"]
    now = time.time()
    assert verify(SECRET, delivery, request.body, signature, now)
    assert not verify("another secret 1", delivery, request.body, signature, now)
    assert not verify(SECRET, delivery, request.body + b" ", signature, now)
    assert not verify(SECRET, "another-id", request.body, signature, now)
    assert not verify(SECRET, delivery, request.body, signature, now + 301), "it can be replayed"
    assert not verify(SECRET, delivery, request.body, "nonsense", now)


def test_only_the_events_that_are_wanted_are_sent(
    receiver: Receiver, notifier: MakeNotifier
) -> None:
    made = notifier(events=["failed"])
    made.job_changed(COMPLETED)
    made.job_changed(event_in(JobState.FAILED, 8, "failed"))
    assert json.loads(receiver.received.get(timeout=30).body)["event"] == "failed"
    assert receiver.received.empty()


def test_what_is_not_taken_is_sent_again_with_the_same_id(
    receiver: Receiver, notifier: MakeNotifier
) -> None:
    answers = iter([500, 429, 204])
    receiver.answer = lambda handler: status(handler, next(answers))
    notifier().job_changed(COMPLETED)
    requests = [receiver.received.get(timeout=30) for _ in range(3)]
    assert len({request.headers["Runnerd-Delivery"] for request in requests}) == 1
    assert len({request.body for request in requests}) == 1


def test_what_was_not_sent_before_the_end_is_sent_by_the_next_daemon(
    receiver: Receiver, notifier: MakeNotifier, file: Path
) -> None:
    queue = Queue(file)  # what a daemon that was killed leaves: a queue that nobody closed
    queue.add("job-1", b"{}", time.time(), 1)
    notifier().open()
    assert receiver.received.get(timeout=30).headers["Runnerd-Delivery"] == "job-1"
    queue.close()


def test_an_event_that_is_told_twice_is_queued_once(file: Path) -> None:
    queue = Queue(file)
    for _ in range(2):
        queue.add("job-1", b"{}", 1.0, 1)
    queue.failed("job-1", "it answered 500", None)
    assert [(each.id, each.tries) for each in queue.dead()] == [("job-1", 1)]
    queue.close()


def test_redirects_are_not_followed(receiver: Receiver, notifier: MakeNotifier, file: Path) -> None:
    receiver.answer = lambda handler: status(handler, 307, Location="/elsewhere")
    notifier(give_up_after=0.01).job_changed(COMPLETED)
    given_up = until_dead(file)
    assert given_up.why == "it answered 307, and redirects are not followed"
    assert receiver.received.get(timeout=1).path == "/hook?a=b"
    assert receiver.received.empty()


@pytest.mark.parametrize("drips", [False, True])
def test_a_server_that_hangs_is_left_in_time(
    receiver: Receiver, notifier: MakeNotifier, file: Path, *, drips: bool
) -> None:
    over = threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        while not over.wait(0.1):
            if drips:
                handler.wfile.write(b"H")

    def end_quietly(handler: BaseHTTPRequestHandler) -> None:
        try:
            hang(handler)
        except OSError:
            return  # it was left

    receiver.answer = end_quietly
    begun = time.monotonic()
    notifier(timeout=0.5, give_up_after=0.01).job_changed(COMPLETED)
    assert time.monotonic() - begun < 5, "the daemon waits for the receiver"
    until_dead(file)
    over.set()


def test_what_was_given_up_is_listed_and_sent_again(
    receiver: Receiver, notifier: MakeNotifier, file: Path, tmp_path: Path
) -> None:
    receiver.answer = lambda handler: status(handler, 503)
    notifier(give_up_after=0.01).job_changed(COMPLETED)
    given_up = until_dead(file)
    receiver.received.get(timeout=30)
    receiver.answer = taken
    run = CliRunner()
    base = ["--data-dir", str(tmp_path)]
    listed = run.invoke(main, [*base, "dead"])
    assert given_up.id in listed.output
    assert "it answered 503" in listed.output
    assert run.invoke(main, [*base, "redeliver", "nope"]).exit_code == 1
    assert run.invoke(main, [*base, "redeliver", given_up.id]).exit_code == 0
    assert receiver.received.get(timeout=30).headers["Runnerd-Delivery"] == given_up.id
    assert dead(file) == []
