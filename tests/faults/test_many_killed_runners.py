"""Runners are killed: each job gets its end soon, and nothing of it lives on."""

import os
import random
import signal
import time

import pytest

from runnerd.testing.daemons import processes_of, wait_for
from tests.faults.conftest import Start
from tests.faults.watching import folder_of, runner_pid

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("RUNNERD_TEST_RUNNER_KILLS", "10"))
SEED = int(os.environ.get("RUNNERD_TEST_SEED", "1"))
SECONDS = float(os.environ.get("RUNNERD_TEST_RUNNER_SECONDS", "10"))
TREE = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.timeout(120 + 5 * KILLS)
def test_a_killed_runner_is_told_in_time_and_leaves_nothing(start: Start) -> None:
    chance = random.Random(SEED)
    daemon = start()
    took = []
    for number in range(KILLS):
        job_id = daemon.submit(TREE, max_retries=0, timeout=600)["job_id"]
        wait_for(daemon, job_id, "started")
        time.sleep(chance.uniform(0, 0.3))  # how far the script has come is left to chance
        killed = time.monotonic()
        os.kill(runner_pid(folder_of(daemon.data_dir, job_id)), signal.SIGKILL)
        wait_for(daemon, job_id, "failed")
        took.append(time.monotonic() - killed)
        job = daemon.job(job_id)
        told = f"seed {SEED}, kill {number}"
        assert (job["status"], job["cause"]) == ("failed", "lost"), told
        work = folder_of(daemon.data_dir, job_id)
        assert processes_of(work) == [], told
    assert max(took) < SECONDS, f"seed {SEED}: {sorted(took)[-5:]}"
