"""Jobs beside each other, and what reaches a script unchanged."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from runnerd.testing.daemons import RunningDaemon

pytestmark = pytest.mark.slow

THREE = """
import os, mlflow
mlflow.set_experiment("side-by-side")
with mlflow.start_run():
    mlflow.log_param("which", os.environ["WHICH"])
    mlflow.log_metric("which", float(os.environ["WHICH"]))
"""
AWKWARD = {
    "QUOTES": 'it\'s "quoted"',
    "LINES": "first\nsecond\r\n\tthird\n",
    "SHELL": "$(touch /tmp/owned) `id` ${HOME} ; rm -rf * && echo | cat > x",
    "BACKSLASHES": "\\ \\\\ \\n \\x41 %s %%",
    "UNICODE": "Grüße 模型 🚀",
    "EMPTY": "",
    "SPACES": "  both ends  ",
}
PRINT = """
import json, os
print(json.dumps({name: os.environ.get(name) for name in json.loads(os.environ["NAMES"])}))
"""


def test_three_jobs_in_one_experiment_have_a_run_each(
    daemon: RunningDaemon, run_of: Callable[[str], Any]
) -> None:
    # The job names the experiment too: mlflow.set_experiment, where it loses the race to make it,
    # leaves the default in force, which is the job's.
    fields = {"experiment_name": "side-by-side"}
    ids = [
        daemon.submit(THREE, environment_vars={"WHICH": str(n)}, **fields)["job_id"]
        for n in range(3)
    ]
    jobs = [daemon.ended(job_id) for job_id in ids]
    assert [job["status"] for job in jobs] == ["completed"] * 3
    runs = [run_of(job["run_id"]) for job in jobs]
    assert [run["params"]["which"] for run in runs] == ["0", "1", "2"]
    assert [run["tags"]["runnerd.job_id"] for run in runs] == ids
    assert len({run["info"]["experiment_id"] for run in runs}) == 1


def test_variables_arrive_unchanged(daemon: RunningDaemon) -> None:
    variables = {**AWKWARD, "NAMES": json.dumps(list(AWKWARD))}
    job = daemon.run(PRINT, environment_vars=variables)
    assert job["status"] == "completed", job
    assert json.loads(job["logs"].splitlines()[-1]) == AWKWARD


def test_no_credential_of_a_store_reaches_a_script(daemon: RunningDaemon) -> None:
    source = "import os\nprint(sorted(n for n in os.environ if n.startswith('AWS_')))\n"
    job = daemon.run(source)
    assert job["logs"].strip().splitlines()[-1] == "[]"
