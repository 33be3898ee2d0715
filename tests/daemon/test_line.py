"""Queues and devices in a whole daemon, with scripts that run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon, wait_for

pytestmark = pytest.mark.slow

SETTINGS = """
[jobs]
max_running = 3
default_gpus = 0
[resources]
gpus = [2, 5]
[environments]
base = ["iniconfig"]
[queues.one]
max_running = 1
priority = 3
"""
DEVICES = "import os\nprint('devices', repr(os.environ['CUDA_VISIBLE_DEVICES']))\n"
WAITS = "import pathlib, time\nwhile not pathlib.Path({file!r}).exists():\n    time.sleep(0.05)\n"


@pytest.fixture
def limited(tmp_path: Path, package_cache: Path) -> Iterator[RunningDaemon]:
    """A daemon with two devices, three slots and a queue for one job."""
    settings = tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    with running_daemon(
        tmp_path / "data", package_cache, arguments=("--config", str(settings))
    ) as daemon:
        yield daemon


def test_scripts_see_the_devices_they_were_given(limited: RunningDaemon, tmp_path: Path) -> None:
    gate = tmp_path / "open"
    holds = DEVICES + WAITS.format(file=str(gate))
    first = limited.submit(holds, gpus=1)["job_id"]
    wait_for(limited, first, "started")
    second = limited.submit(holds, gpus=1)["job_id"]
    none = limited.run(DEVICES)
    third = limited.submit(DEVICES, gpus=2)["job_id"]
    wait_for(limited, second, "started")
    assert "0 of 2 GPUs are free" in limited.job(third)["waiting_for"]
    gate.touch()
    ended = [limited.ended(job_id) for job_id in (first, second, third)]
    assert [job["logs"].strip() for job in [none, *ended]] == [
        "devices ''",
        "devices '2'",
        "devices '5'",
        "devices '2,5'",
    ]


def test_a_queue_for_one_runs_one_and_lets_others_pass(
    limited: RunningDaemon, tmp_path: Path
) -> None:
    gate = tmp_path / "open"
    held = limited.submit(WAITS.format(file=str(gate)), queue="one")["job_id"]
    wait_for(limited, held, "started")
    behind = limited.submit("print('second')\n", queue="one")["job_id"]
    assert limited.job(behind)["priority"] == 3
    assert limited.run("print('other')\n")["status"] == "completed"
    waiting = limited.job(behind)
    assert waiting["waiting_for"] == "a place in its queue: 1 of 'one' may run at a time"
    gate.touch()
    assert limited.ended(behind)["status"] == "completed"


def test_a_job_that_infrastructure_fails_again_is_parked_and_released(
    tmp_path: Path, package_cache: Path
) -> None:
    """The package index is away: nothing listens there."""
    settings = tmp_path / "settings.toml"
    settings.write_text(
        '[environments]\nindex_url = "http://127.0.0.1:9/simple"\nbase = []\n'
        "[jobs]\nretry_seconds = 0.1\nmax_retries = 1\n"
    )
    with running_daemon(
        tmp_path / "data", tmp_path / "cache", arguments=("--config", str(settings))
    ) as daemon:
        job = daemon.run("print('never')\n", requirements=["iniconfig"])
        assert (job["status"], job["parked"], job["cause"]) == ("failed", True, "index_away")
        assert "parked after 2 attempts" in job["error"]
        with daemon.client() as client:
            listed = client.get("/mlops/training/jobs?parked=true").json()["items"]
            assert [each["job_id"] for each in listed] == [job["job_id"]]
            released = client.post(f"/mlops/training/jobs/{job['job_id']}/release")
        assert released.status_code == 202
        again = daemon.ended(job["job_id"])
        assert (again["parked"], again["attempt"]) == (True, 4)
