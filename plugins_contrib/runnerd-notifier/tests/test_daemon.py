"""A whole daemon whose jobs are notified of, also when it is killed."""

import json
import signal

from conftest import SECRET, Receiver, status, taken

from runnerd.testing.fixtures import StartDaemon


def test_nothing_is_lost_when_the_daemon_is_killed(
    start_daemon: StartDaemon, receiver: Receiver
) -> None:
    settings = {
        "RUNNERD_PLUGINS_NOTIFIER_URL": receiver.url,
        "RUNNERD_PLUGINS_NOTIFIER_SECRET": SECRET,
        "RUNNERD_PLUGINS_NOTIFIER_EVENTS": "[]",
        "RUNNERD_PLUGINS_NOTIFIER_ALLOW_NETWORKS": "127.0.0.0/8",
        "RUNNERD_PLUGINS_NOTIFIER_FIRST_PAUSE": "0.1",
        "RUNNERD_PLUGINS_NOTIFIER_LONGEST_PAUSE": "0.2",
    }
    receiver.answer = lambda handler: status(handler, 503)
    daemon = start_daemon(**settings)
    job = daemon.run("print('hello')")
    receiver.received.get(timeout=30)
    daemon.stop(signal.SIGKILL)
    while not receiver.received.empty():
        receiver.received.get()
    receiver.answer = taken
    daemon = start_daemon(**settings)
    with daemon.client() as client:
        answer = client.get(f"/mlops/training/jobs/{job['job_id']}/events").json()
    expected = {f"{job['job_id']}-{event['id']}" for event in answer["items"]}
    arrived: dict[str, str] = {}
    while set(arrived) != expected:
        told = json.loads(receiver.received.get(timeout=60).body)
        arrived[told["id"]] = told["event"]
    assert {"submitted", "completed"} <= set(arrived.values())
    assert SECRET not in daemon.log.read_text()


def test_what_happened_while_it_was_not_there_is_told_later(
    start_daemon: StartDaemon, receiver: Receiver
) -> None:
    settings = {
        "RUNNERD_PLUGINS_NOTIFIER_URL": receiver.url,
        "RUNNERD_PLUGINS_NOTIFIER_SECRET": SECRET,
        "RUNNERD_PLUGINS_NOTIFIER_ALLOW_NETWORKS": "127.0.0.0/8",
    }
    daemon = start_daemon(**settings)
    first = daemon.run("print('heard')")
    assert json.loads(receiver.received.get(timeout=60).body)["job_id"] == first["job_id"]
    daemon.stop()
    daemon = start_daemon(RUNNERD_LOADER_DENY="notifier")
    missed = daemon.run("print('missed')")
    daemon.stop()
    start_daemon(**settings)
    told = json.loads(receiver.received.get(timeout=60).body)
    assert (told["job_id"], told["event"]) == (missed["job_id"], "completed")
