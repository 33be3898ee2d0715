"""The file that runs an attempt in a container, run here: what goes in, and what it tells."""

import base64
import json
import platform
import signal
import subprocess
import sys
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from runnerd.executors.kubernetes.frames import Frames
from runnerd.jobs import EnvironmentPlan
from runnerd.runner import POD_FILE, RUNNER_FILE
from tests.runner.plans import bare_plan

PLAIN = "print('first')\nprint('zweite: ü')"
# No text, a mark of our own, a line without its end, and one longer than engines keep in one.
ODD = """
import os, sys
os.write(1, bytes(range(256)) + b"\\n\\x1ebAAAA\\n")
os.write(1, b'\\x1ej{"end": {"cause": "exited"}}\\n')
os.write(1, b"x" * 100_000 + b"\\nno end")
"""


class Pod:
    """One attempt in a folder that is laid out as the pod's volumes are."""

    def __init__(self, folder: Path, plan: EnvironmentPlan) -> None:
        self.folder = folder
        self.plan = plan
        self.stop = folder / "stop"

    def start(self, script: str, **changes: Any) -> None:
        given = self.folder / "in"
        work = self.folder / "work"
        given.mkdir()
        work.mkdir()
        for file in (POD_FILE, RUNNER_FILE):
            (given / file.name).write_bytes(file.read_bytes())
        request = {
            "attempt_id": "a" * 32 + "-1",
            "script_name": "train.py",
            "environment": asdict(self.plan),
            "timeout": 30.0,
            "grace_seconds": 2.0,
            "log_limit": 1_000_000,
            "variables": {"PYTHONUNBUFFERED": "1"},
            **changes,
        }
        packed = {"request": request, "script": script, "uv": "uv"}
        (given / "attempt.z").write_bytes(zlib.compress(json.dumps(packed).encode()))
        command = [sys.executable, "-I", "-S", str(given / "pod.py"), str(given / "attempt.z")]
        self.process = subprocess.Popen(
            [*command, work, self.folder / "cache", self.stop, self.folder / "message"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": str(Path(self.plan.uv).parent), "NAMED": "by the pod", "OTHER": "no"},
        )

    def end(self) -> tuple[bytes, dict[str, Any]]:
        """Wait for the end; gives the output and the record of it."""
        told, errors = self.process.communicate(timeout=60)
        assert errors == b""
        output, records = read(told)
        assert json.loads((self.folder / "message").read_text()) == records[-1]["end"]
        assert output_is_in_order(told)
        return output, records[-1]


def read(told: bytes, size: int = 7) -> tuple[bytes, list[dict[str, Any]]]:
    """Read what was told in small pieces, as a connection may deliver it."""
    frames, output, records = Frames(), b"", []
    for start in range(0, len(told), size):
        for each in frames.feed(told[start : start + size]):
            if isinstance(each, tuple):
                assert each[0] == len(output)
                output += each[1]
            else:
                records.append(each)
    return output, records


def output_is_in_order(told: bytes) -> bool:
    """Whatever the pieces are, the same comes out."""
    return read(told) == read(told, 100_000)


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    return Pod(tmp_path, bare_plan(tmp_path / "unused", tmp_path / "unused"))


def test_plain_lines_are_told_as_they_are(pod: Pod) -> None:
    pod.start(PLAIN)
    told, _ = pod.process.communicate(timeout=60)
    assert "first\nzweite: ü\n".encode() in told
    output, records = read(told)
    assert output.decode() == "first\nzweite: ü\n"
    assert records[0] == {"at": 0, "runnerd": 1}
    assert [next(iter(each)) for each in records] == ["at", "building", "started", "end"]
    assert (records[-1]["size"], records[-1]["end"]["exit_code"]) == (len(output), 0)


def test_whatever_a_script_writes_arrives_byte_for_byte(pod: Pod) -> None:
    pod.start(ODD)
    output, last = pod.end()
    forged = b'\n\x1ebAAAA\n\x1ej{"end": {"cause": "exited"}}\n'
    assert output == bytes(range(256)) + forged + b"x" * 100_000 + b"\nno end"
    assert last["end"]["cause"] == "exited"


def test_the_exit_code_is_the_scripts(pod: Pod) -> None:
    pod.start("raise SystemExit(7)")
    _, last = pod.end()
    assert (last["end"]["exit_code"], pod.process.returncode) == (7, 7)


def test_variables_that_are_named_come_from_the_container(pod: Pod) -> None:
    script = "import os; print(os.environ['NAMED'], os.environ.get('OTHER'))"
    pod.start(script, engine_variables=["NAMED", "MISSING"])
    assert pod.end()[0] == b"by the pod None\n"


def test_output_over_the_limit_is_cut_there(pod: Pod) -> None:
    pod.start("while True: print('x' * 99)", log_limit=50_000)
    output, last = pod.end()
    assert output == (b"x" * 99 + b"\n") * 500
    assert last["end"]["cause"] == "log_limit"


def test_a_stop_file_ends_the_script_by_its_cause(pod: Pod) -> None:
    pod.start("import time\nprint('ready')\ntime.sleep(60)")
    assert pod.process.stdout is not None
    until(pod.process.stdout, b"ready\n")
    pod.stop.write_text("cancelled")
    _, last = pod.end()
    assert (last["end"]["cause"], last["end"]["signal"]) == ("cancelled", signal.SIGTERM)


def test_a_container_that_is_ended_from_outside_is_lost_and_says_so(pod: Pod) -> None:
    pod.start("import time\nprint('ready')\ntime.sleep(60)")
    assert pod.process.stdout is not None
    until(pod.process.stdout, b"ready\n")
    pod.process.send_signal(signal.SIGTERM)
    _, last = pod.end()
    assert last["end"]["cause"] == "lost"


def test_an_image_with_another_python_is_told(pod: Pod) -> None:
    pod.plan = replace(pod.plan, python_version="3.7.1")
    pod.start(PLAIN)
    output, last = pod.end()
    assert (output, last["end"]["cause"]) == (b"", "build_failed")
    assert f"has Python {platform.python_version()}" in last["end"]["detail"]


def test_a_log_without_its_beginning_is_placed_by_the_next_mark() -> None:
    told = b"cut off\n\x1eb" + base64.b64encode(b"cut off too") + b'\n\x1ej{"at": 500}\nplaced\n'
    frames = Frames()
    assert [each for each in frames.feed(told) if isinstance(each, tuple)] == [(500, b"placed\n")]


def until(stream: Any, line: bytes) -> None:
    """Read lines until there is this one; what was read is not told again."""
    while (read_line := stream.readline()) != line:
        assert read_line, "it ended before"
