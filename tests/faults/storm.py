"""A storm: jobs of every ending, submitted to a daemon that is killed again and again."""

import hashlib
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from runnerd.testing.daemons import ENDED, RunningDaemon, running_daemon

LINES = """
import sys
for number in range({lines}):
    print("line", number, "{pad}")
sys.stdout.flush()
"""
MARK = """
import os, time
with open(os.environ["MARKS"], "a") as marks:
    marks.write(os.environ["NAME"] + "\\n")
"""
GRANDCHILD = """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
"""


@dataclass(frozen=True)
class Kind:
    """A kind of job: what its script does at the end, and how the job must come out."""

    name: str
    ending: str
    status: str
    exit_code: int | None
    signal: int | None = None
    timeout: int = 60
    cancel: bool = False


KINDS = (
    Kind("completes", "time.sleep({pause})", "completed", 0),
    Kind("fails", "time.sleep({pause}); os._exit(7)", "failed", 7),
    Kind("crashes", "os.kill(os.getpid(), 11)", "failed", None, signal=11),
    Kind("leaves a daemon", GRANDCHILD + "time.sleep({pause})", "completed", 0),
    Kind("runs out of time", "time.sleep(600)", "failed", None, signal=15, timeout=1),
    Kind("is cancelled", "time.sleep(600)", "cancelled", None, signal=15, cancel=True),
)


@dataclass
class Sent:
    """A job of the storm: ``log`` is the digest of the output that its script writes."""

    name: str
    kind: Kind
    script: str
    log: str
    job_id: str = ""
    cancelled: bool = False


@dataclass
class Storm:
    """``jobs`` are submitted while the daemon on ``data_dir`` is killed ``kills`` times."""

    data_dir: Path
    package_cache: Path
    jobs: int
    kills: int
    seed: int

    def run(self) -> list[str]:
        """Weather it; gives a line for everything that is not as it must be."""
        chance = random.Random(self.seed)
        sent = [self._job(number, chance) for number in range(self.jobs)]
        for _ in range(self.kills):
            with self._daemon() as daemon:
                self._work_for(daemon, sent, chance.uniform(0.2, 2.0))
                daemon.stop(signal.SIGKILL)
        with self._daemon() as daemon:
            while not all(job.job_id for job in sent):
                self._work_for(daemon, sent, 0.5)
            return [fault for job in sent for fault in self._faults(daemon, job)]

    @property
    def marks(self) -> Path:
        """The file to which every script writes its name when it starts."""
        return self.data_dir.parent / "marks"

    def _daemon(self) -> Any:
        return running_daemon(
            self.data_dir,
            self.package_cache,
            variables={
                "RUNNERD_ENVIRONMENTS_BASE": '["idna"]',
                "RUNNERD_JOBS_MAX_RUNNING": "8",
                "RUNNERD_JOBS_GRACE_SECONDS": "2",
                # nothing here is tracked: no server needs to be started anew with each daemon
                "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
            },
        )

    def _job(self, number: int, chance: random.Random) -> Sent:
        kind = KINDS[number % len(KINDS)]
        lines, pad = chance.randrange(1, 3000), "x" * chance.randrange(60)
        script = LINES.format(lines=lines, pad=pad) + MARK
        script += kind.ending.format(pause=round(chance.uniform(0, 1.5), 2)) + "\n"
        output = "".join(f"line {line} {pad}\n" for line in range(lines))
        return Sent(f"job-{number}", kind, script, hashlib.sha256(output.encode()).hexdigest())

    def _work_for(self, daemon: RunningDaemon, sent: list[Sent], seconds: float) -> None:
        """Submit and cancel until the time is up."""
        deadline = time.monotonic() + seconds
        with daemon.client() as client:
            for job in self._to_do(sent):
                if time.monotonic() > deadline:
                    return
                if job.job_id:
                    self._cancel(client, job)
                else:
                    self._submit(client, job)
            time.sleep(max(0.0, deadline - time.monotonic()))  # the daemon works; then it dies

    def _to_do(self, sent: list[Sent]) -> Iterator[Sent]:
        yield from (job for job in sent if job.kind.cancel and job.job_id and not job.cancelled)
        yield from (job for job in sent if not job.job_id)

    def _submit(self, client: httpx.Client, job: Sent) -> None:
        body = {
            "script_name": "storm.py",
            "script_content": job.script,
            "experiment_name": "storm",
            "model_name": "none",
            "timeout": job.kind.timeout,
            "environment_vars": {"NAME": job.name, "MARKS": str(self.marks)},
        }
        headers = {"Idempotency-Key": f"{self.seed}-{job.name}"}
        answer = client.post("/mlops/training/upload", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        job.job_id = answer.json()["job_id"]

    def _cancel(self, client: httpx.Client, job: Sent) -> None:
        """Cancel a job whose script has begun: one that is queued has no log to compare."""
        if self.marks.exists() and job.name in self.marks.read_text().split():
            answer = client.post(f"/mlops/training/jobs/{job.job_id}/cancel")
            assert answer.status_code in (200, 202), answer.text
            job.cancelled = True

    def _faults(self, daemon: RunningDaemon, job: Sent) -> Iterator[str]:
        while job.kind.cancel and not job.cancelled:
            with daemon.client() as client:
                self._cancel(client, job)
            time.sleep(0.05)  # the script's mark is a file: nothing tells of it
        ended = daemon.ended(job.job_id)
        expected = (job.kind.status, job.kind.exit_code, job.kind.signal)
        found = (ended["status"], ended["exit_code"], ended["signal"])
        title = f"{job.name} ({job.kind.name}, {job.job_id})"
        if ended["status"] not in ENDED or found != expected:
            yield f"{title}: ended as {found}, not {expected}: {ended['error']}"
        runs = self.marks.read_text().split().count(job.name)
        if runs != 1:
            yield f"{title}: its script ran {runs} times"
        with daemon.client() as client:
            log = client.get(f"/mlops/training/jobs/{job.job_id}/logs").content
        if hashlib.sha256(log).hexdigest() != job.log:
            yield f"{title}: its log of {len(log)} bytes is not what its script wrote"
