"""Three daemons share a queue on Postgres, one of them killed every few seconds."""

import os
import random
import signal
import time
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import pytest

from runnerd.testing.daemons import RunningDaemon, processes_of, running_daemon
from tests.postgres import PostgresServer

KILLS = int(os.environ.get("RUNNERD_TEST_NODE_KILLS", "6"))
JOBS = int(os.environ.get("RUNNERD_TEST_NODE_JOBS", "120"))
SEED = int(os.environ.get("RUNNERD_TEST_SEED", "1"))
NODES = ("a", "b", "c")
SCRIPT = """
import os, time
with open(os.environ["MARKS"], "a") as marks:
    marks.write(os.environ["NAME"] + "\\n")
time.sleep({pause})
os._exit({code})
"""


class Nodes:
    """The daemons: killed by name, started again in their own folders."""

    def __init__(self, folder: Path, package_cache: Path, database: str) -> None:
        self._folder = folder
        self._package_cache = package_cache
        self._database = database
        self._stacks = {node: ExitStack() for node in NODES}
        self.daemons: dict[str, RunningDaemon] = {}

    def __enter__(self) -> "Nodes":
        for node in NODES:
            self.start(node)
        return self

    def __exit__(self, *_: object) -> None:
        for stack in self._stacks.values():
            stack.close()

    def start(self, node: str) -> None:
        context: AbstractContextManager[RunningDaemon] = running_daemon(
            self._folder / node,
            self._package_cache,
            variables={
                "RUNNERD_NODE": node,
                "RUNNERD_DATABASE_URL": self._database,
                "RUNNERD_ENVIRONMENTS_BASE": '["idna"]',
                "RUNNERD_JOBS_MAX_RUNNING": "3",
                "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
            },
        )
        self.daemons[node] = self._stacks[node].enter_context(context)

    def kill(self, node: str) -> None:
        self.daemons[node].stop(signal.SIGKILL)
        self._stacks[node].close()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(120 + 15 * KILLS + 5 * JOBS)
def test_each_job_is_run_and_ended_once(
    postgres: PostgresServer, tmp_path: Path, package_cache: Path
) -> None:
    chance = random.Random(SEED)
    url = postgres.make_database()
    marks = tmp_path / "marks"
    with Nodes(tmp_path / "nodes", package_cache, url) as nodes:
        sent = {}
        for number in range(JOBS):
            code = 7 if number % 5 == 0 else 0
            script = SCRIPT.format(pause=round(chance.uniform(0, 0.5), 2), code=code)
            name = f"job-{number}"
            daemon = nodes.daemons[chance.choice(NODES)]
            variables = {"MARKS": str(marks), "NAME": name}
            sent[daemon.submit(script, environment_vars=variables)["job_id"]] = (name, code)
        for _ in range(KILLS):
            victim = chance.choice(NODES)
            nodes.kill(victim)
            time.sleep(chance.uniform(0.5, 2.0))  # the others go on without it
            nodes.start(victim)
        faults = [
            f"seed {SEED}: {name} ({job_id}) ended as {job['status']} {job['exit_code']}"
            for job_id, (name, code) in sent.items()
            if (job := nodes.daemons["a"].ended(job_id))["exit_code"] != code
            or job["status"] != ("failed" if code else "completed")
        ]
        ran_on = _histories(nodes.daemons["b"], list(sent), faults)
    runs = Counter(marks.read_text().split())
    faults += [
        f"seed {SEED}: {name} ran {runs[name]} times"
        for name, _ in sent.values()
        if runs[name] != 1
    ]
    assert faults == []
    assert set(ran_on) == set(NODES), f"seed {SEED}: who ran what: {ran_on}"
    assert processes_of(tmp_path) == [], f"seed {SEED}: processes were left"


def _histories(daemon: RunningDaemon, jobs: list[str], faults: list[str]) -> Counter[str]:
    """Count the jobs by node; each must have been claimed once and ended once."""
    ran_on: Counter[str] = Counter()
    with httpx.Client(base_url=daemon.url, timeout=30) as client:
        for job_id in jobs:
            events = client.get(f"/mlops/training/jobs/{job_id}/events").json()["items"]
            kinds = Counter(event["kind"] for event in events)
            if kinds["claimed"] != 1 or kinds["completed"] + kinds["failed"] != 1:
                faults.append(f"seed {SEED}: the history of {job_id} is {dict(kinds)}")
            ran_on.update(event["data"]["node"] for event in events if event["kind"] == "claimed")
    return ran_on
