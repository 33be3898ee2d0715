"""Three daemons share a queue on Postgres and are killed, stopped and cut off among 1,000 jobs.

``RUNNERD_TEST_NODE_JOBS`` and ``RUNNERD_TEST_NODE_KILLS`` set how many jobs and blows there are.
"""

import hashlib
import logging
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from runnerd.store.leases import LEASE_SECONDS
from runnerd.testing.daemons import ENDED, processes_of
from tests.faults.fleet import NODES, Fleet
from tests.postgres import postgres_server

KILLS = int(os.environ.get("RUNNERD_TEST_NODE_KILLS", "6"))
JOBS = int(os.environ.get("RUNNERD_TEST_NODE_JOBS", "120"))
SEED = int(os.environ.get("RUNNERD_TEST_SEED", "1"))
PAST_THE_LEASE = LEASE_SECONDS + 3.0
A_FEW_SECONDS = 10.0
_log = logging.getLogger(__name__)
SCRIPT = """
import os, time
with open(os.environ["MARKS"], "a") as marks:
    marks.write(os.environ["NAME"] + "\\n")
for number in range({lines}):
    print("line", number)
time.sleep({pause})
os.sys.stdout.flush()
os._exit({code})
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.timeout(240 + 20 * KILLS + 5 * JOBS),
]


@dataclass
class Sent:
    """A job that was submitted, and what its script does."""

    name: str
    code: int
    log: str
    job_id: str


@dataclass
class Seen:
    """What the histories of all jobs say. Times are in seconds."""

    faults: list[str] = field(default_factory=list)
    ran_on: Counter[str] = field(default_factory=Counter)
    submitted: dict[str, float] = field(default_factory=dict)
    claimed: list[tuple[float, str]] = field(default_factory=list)
    longest_untold: float = 0.0

    def longest_passed_by(self) -> float:
        """Give the longest time that a job waited while nobody claimed any."""
        claims = sorted(self.claimed)
        waits = [
            at - max(before, self.submitted[job_id])
            for (before, _), (at, job_id) in pairwise(claims)
        ]
        return max(waits)


def test_killed_in_turn(tmp_path: Path, package_cache: Path) -> None:
    def _strike(fleet: Fleet, _: int) -> None:
        fleet.kill()

    weather(tmp_path, package_cache, _strike, all_take_part=True)


def test_stopped_past_the_lease_cut_off_and_killed(tmp_path: Path, package_cache: Path) -> None:
    def _strike(fleet: Fleet, number: int) -> None:
        if number == KILLS // 2:
            fleet.pause(PAST_THE_LEASE)
        elif number % 3 == 0:
            fleet.take_the_database()
        elif number % 3 == 1:
            fleet.pause(3.0)
        else:
            fleet.kill()

    weather(tmp_path, package_cache, _strike)


def weather(
    tmp_path: Path,
    package_cache: Path,
    strike: Callable[[Fleet, int], None],
    *,
    all_take_part: bool = False,
) -> None:
    """Submit between blows; each job must run once, end once, and be told as it was."""
    chance = random.Random(SEED)
    marks = tmp_path / "marks"
    with (
        postgres_server() as server,
        Fleet(tmp_path / "nodes", package_cache, server, chance) as fleet,
    ):
        names = iter(range(JOBS))
        sent: list[Sent] = []
        for blow in range(KILLS):
            share = islice(names, JOBS // KILLS)
            sent += [submit(fleet, chance, number, marks) for number in share]
            strike(fleet, blow)
        sent += [submit(fleet, chance, number, marks) for number in names]
        seen = look(fleet, sent)
    runs = Counter(marks.read_text().split())
    seen.faults += [f"{job.name} ran {runs[job.name]} times" for job in sent if runs[job.name] != 1]
    _log.info(
        "seed %d: %d jobs, %d blows, the longest of %.1f s; an end was told after %.1f s at most, "
        "a job was passed by for %.1f s at most; by node %s",
        SEED,
        len(sent),
        KILLS,
        fleet.longest_blow,
        seen.longest_untold,
        seen.longest_passed_by(),
        dict(seen.ran_on),
    )
    assert seen.faults == [], f"seed {SEED}"
    assert processes_of(tmp_path) == [], f"seed {SEED}: processes were left"
    assert seen.longest_untold < fleet.longest_blow + A_FEW_SECONDS, f"seed {SEED}"
    assert seen.longest_passed_by() < LEASE_SECONDS + A_FEW_SECONDS, f"seed {SEED}"
    if all_take_part:
        assert set(seen.ran_on) == set(NODES), f"seed {SEED}: {seen.ran_on}"


def submit(fleet: Fleet, chance: random.Random, number: int, marks: Path) -> Sent:
    code = 7 if number % 5 == 0 else 0
    lines = chance.randrange(200)
    name = f"job-{number}"
    body = {
        "script_name": "storm.py",
        "script_content": SCRIPT.format(
            lines=lines, pause=round(chance.uniform(0, 0.5), 2), code=code
        ),
        "experiment_name": "storm",
        "model_name": "none",
        "environment_vars": {"MARKS": str(marks), "NAME": name},
    }
    log = "".join(f"line {line}\n" for line in range(lines))
    digest = hashlib.sha256(log.encode()).hexdigest()
    return Sent(name, code, digest, fleet.submit(body, f"{SEED}-{name}"))


def look(fleet: Fleet, sent: list[Sent]) -> Seen:
    """Wait for every job's end, and read its history and its log, each by another daemon."""
    seen = Seen()
    with ExitStack() as stack:
        clients = [stack.enter_context(daemon.client()) for daemon in fleet.daemons.values()]
        for number, job in enumerate(sent):
            client = clients[number % len(clients)]
            path = f"/mlops/training/jobs/{job.job_id}"
            found = client.get(path).json()
            if found["status"] not in ENDED:
                found = fleet.daemons["a"].ended(job.job_id)
            expected = ("failed" if job.code else "completed", job.code)
            if (found["status"], found["exit_code"]) != expected:
                seen.faults.append(f"{job.name} ended as {found['status']} {found['exit_code']}")
            read(seen, job, client.get(f"{path}/events").json()["items"])
            log = client.get(f"{path}/logs").content
            if hashlib.sha256(log).hexdigest() != job.log:
                seen.faults.append(f"{job.name}: its log of {len(log)} bytes is not what it wrote")
    return seen


def read(seen: Seen, job: Sent, events: list[dict[str, Any]]) -> None:
    kinds = Counter(event["kind"] for event in events)
    if kinds["claimed"] != 1 or kinds["completed"] + kinds["failed"] != 1:
        seen.faults.append(f"the history of {job.name} is {dict(kinds)}")
    for event in events:
        at = datetime.fromisoformat(event["at"]).timestamp()
        if event["kind"] == "submitted":
            seen.submitted[job.job_id] = at
        elif event["kind"] == "claimed":
            seen.claimed.append((at, job.job_id))
            seen.ran_on[event["data"]["node"]] += 1
        elif event["kind"] == "ended":
            seen.longest_untold = max(seen.longest_untold, at - event["data"]["ended_at"])
