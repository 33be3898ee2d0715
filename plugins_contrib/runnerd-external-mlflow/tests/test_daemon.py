"""A whole daemon that tracks by the plugin."""

import httpx
from conftest import Door

from runnerd.testing.fixtures import StartDaemon

SCRIPT = """
import json, os, urllib.request

def ask(path, **fields):
    request = urllib.request.Request(
        os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/" + path,
        json.dumps(fields).encode(),
        {
            "Authorization": "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"],
            "Content-Type": "application/json",
        },
    )
    return json.load(urllib.request.urlopen(request, timeout=60))

run = ask("runs/create", experiment_id="0", start_time=1)["run"]["info"]["run_id"]
ask("runs/log-metric", run_id=run, key="m", value=0.5, timestamp=2)
"""


def test_a_jobs_run_is_on_the_server_that_others_run(
    start_daemon: StartDaemon, door: Door, server: str
) -> None:
    daemon = start_daemon(
        RUNNERD_TRACKING_PLUGIN="external-mlflow",
        RUNNERD_PLUGINS_EXTERNAL_MLFLOW_URL=door.url,
        RUNNERD_PLUGINS_EXTERNAL_MLFLOW_TOKEN_FILE=str(door.token_file),
        RUNNERD_ENVIRONMENTS_BASE="packaging",  # the script needs no MLflow: it is its own client
    )
    job = daemon.run(SCRIPT)
    assert job["status"] == "completed", job
    found = httpx.get(
        f"{server}/api/2.0/mlflow/runs/get", params={"run_id": job["run_id"]}, timeout=30
    )
    run = found.json()["run"]
    assert run["info"]["status"] == "FINISHED"
    assert [(each["key"], each["value"]) for each in run["data"]["metrics"]] == [("m", 0.5)]
