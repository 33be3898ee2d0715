"""Traces of real jobs, as a collector gets them from a real daemon."""

import itertools
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from runnerd.testing.daemons import RunningDaemon, wait_for
from tests.daemon.conftest import Start, data_dir, start
from tests.traces.collector import Collector, collector

__all__ = ["data_dir", "start"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STEPS = ["wait", "resolve environment", "launch", "build environment", "run", "finish"]


@pytest.fixture
def receiving() -> Iterator[Collector]:
    with collector() as listening:
        yield listening


def submitted(daemon: RunningDaemon, script: str, flags: str | None = None) -> str:
    headers = {} if flags is None else {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
    body = {
        "script_name": "train.py",
        "script_content": script,
        "experiment_name": "tests",
        "model_name": "model",
    }
    with daemon.client(headers=headers) as client:
        answer = client.post("/mlops/training/upload", json=body)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def told(span: Span) -> dict[str, str]:
    return {each.key: each.value.string_value for each in span.attributes}


@pytest.mark.slow
def test_one_trace_from_the_client_to_the_end_across_a_kill(
    start: Start, receiving: Collector, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    script = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.05)"
    variables = {"RUNNERD_TRACES_ENDPOINT": receiving.url, "RUNNERD_NODE": "here"}
    first = start(**variables)
    job_id = submitted(first, script, flags="01")
    wait_for(first, job_id, "started")
    first.stop(signal.SIGKILL)
    second = start(**variables)
    gate.touch()
    assert second.ended(job_id)["status"] == "completed"

    spans = receiving.trace(TRACE)
    by_name = {span.name: span for span in spans}
    assert len({span.span_id for span in spans}) == len(spans)
    [whole, submit, *rest] = spans
    assert (whole.name, whole.parent_span_id.hex()) == ("job", PARENT)
    assert told(whole)["runnerd.job_id"] == job_id
    assert whole.status.code == Status.STATUS_CODE_OK
    steps = [span for span in (submit, *rest) if span.parent_span_id == whole.span_id]
    assert [span.name for span in steps] == ["submit", *STEPS]
    for before, after in itertools.pairwise(steps):
        assert before.end_time_unix_nano == after.start_time_unix_nano
    ends = (steps[0].start_time_unix_nano, steps[-1].end_time_unix_nano)
    assert ends == (whole.start_time_unix_nano, whole.end_time_unix_nano)
    inner = [span.name for span in spans if span.parent_span_id == by_name["finish"].span_id]
    assert inner == ["archive", "register"]
    assert told(by_name["wait"])["runnerd.node"] == "here"
    assert told(by_name["run"])["runnerd.cause"] == "exited"
    assert receiving.services[0]["service.name"] == "runnerd"
    assert receiving.services[0]["service.instance.id"] == "here"


@pytest.mark.slow
def test_a_failure_is_told_and_a_trace_of_its_own_has_the_id_of_the_job(
    start: Start, receiving: Collector
) -> None:
    daemon = start(RUNNERD_TRACES_ENDPOINT=receiving.url)
    job_id = submitted(daemon, "raise SystemExit('no luck')")
    job = daemon.ended(job_id)
    spans = {span.name: span for span in receiving.trace(job_id)}
    assert not spans["job"].parent_span_id
    assert spans["job"].status.code == Status.STATUS_CODE_ERROR
    assert spans["job"].status.message == job["error"]
    assert spans["run"].status.code == Status.STATUS_CODE_ERROR
    assert spans["launch"].status.code == Status.STATUS_CODE_OK


@pytest.mark.slow
def test_only_sampled_traces_are_sent(start: Start, receiving: Collector) -> None:
    none = {"RUNNERD_TRACES_ENDPOINT": receiving.url, "RUNNERD_TRACES_SAMPLE_RATIO": "0"}
    daemon = start(**none)
    for flags in (None, "00"):
        daemon.ended(submitted(daemon, "print(1)", flags))
    wished = submitted(daemon, "print(1)", "01")
    daemon.ended(wished)
    daemon.stop()  # sends what is left
    whole = [span for span in receiving.spans if span.name == "job"]
    assert [told(span)["runnerd.job_id"] for span in whole] == [wished]


@pytest.mark.slow
def test_a_collector_that_is_away_costs_nothing_but_traces(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1/traces"
        daemon = start(RUNNERD_TRACES_ENDPOINT=url)
        assert daemon.run("print(1)")["status"] == "completed"
        begun = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - begun < 30


def test_what_is_off_is_not_imported() -> None:
    code = "import sys, runnerd.daemon; print([m for m in sys.modules if 'opentelemetry' in m])"
    seen = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert seen.stdout.strip() == "[]"
