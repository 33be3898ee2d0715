"""A store that is away in the middle of a job: the job waits for it, or says so and comes back."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon, wait_for
from tests.s3 import ACCESS_KEY, SECRET_KEY, S3Server, make_bucket, s3_server

pytestmark = [pytest.mark.s3, pytest.mark.slow]
SCRIPT = """
import os, pathlib, time
import mlflow
folder = pathlib.Path(os.environ["FOLDER"])
with (folder / "trained").open("a") as lines:
    lines.write("once\\n")
with mlflow.start_run() as run:
    (folder / "logging").touch()
    while not (folder / "go").exists():
        time.sleep(0.05)
    mlflow.log_text("small", "notes/small.txt")
    pathlib.Path("large.bin").write_bytes(os.urandom(12 * 1024 * 1024))
    mlflow.log_artifact("large.bin")
assert not [name for name in os.environ if name.startswith("AWS")], "a job has credentials"
"""


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as own:
        yield own


def stored(server: S3Server, bucket: str) -> dict[str, int]:
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    found = client.list_objects_v2(Bucket=bucket, Prefix="runnerd/artifacts/").get("Contents", ())
    client.close()
    return {each["Key"].rpartition("/")[2]: each["Size"] for each in found}


def submitted(daemon: RunningDaemon, folder: Path, server: S3Server) -> str:
    """Submit the script, and take the store away once it has begun."""
    variables = {"FOLDER": str(folder)}
    job_id: str = daemon.submit(SCRIPT, environment_vars=variables)["job_id"]
    wait_for(daemon, job_id, "started")
    while not (folder / "logging").exists():
        assert daemon.job(job_id)["status"] == "running"
    server.stop()
    (folder / "go").touch()
    return job_id


def test_a_job_outlives_an_outage_of_the_store(
    server: S3Server, tmp_path: Path, package_cache: Path
) -> None:
    bucket = make_bucket(server.url)
    variables = server.daemon_variables(bucket)
    with running_daemon(tmp_path / "data", package_cache, variables=variables) as daemon:
        job_id = submitted(daemon, tmp_path, server)
        wait_for(daemon, job_id, "ended")
        assert daemon.job(job_id)["status"] == "running", "it ended before its artifacts arrived"
        server.start()
        job = daemon.ended(job_id)
    assert job["status"] == "completed", job
    assert stored(server, bucket) == {"small.txt": 5, "large.bin": 12 * 1024 * 1024}
    assert not [path for path in (tmp_path / "data/undelivered").rglob("*") if path.is_file()]


def test_a_store_that_stays_away_fails_the_job_and_a_retry_delivers(
    server: S3Server, tmp_path: Path, package_cache: Path
) -> None:
    bucket = make_bucket(server.url)
    variables = server.daemon_variables(bucket)
    hasty = variables | {"RUNNERD_JOBS_FINISH_TIMEOUT": "4"}
    with running_daemon(tmp_path / "data", package_cache, variables=hasty) as daemon:
        job_id = submitted(daemon, tmp_path, server)
        job = daemon.ended(job_id)
        assert job["status"] == "failed"
        assert "2 of its artifacts" in job["error"]
        assert "does not answer" in job["error"]
        assert f"runnerd retry {job_id}" in job["error"]
        assert len(list((tmp_path / "data/undelivered/objects").rglob("large.bin"))) == 1
    server.start()
    with running_daemon(tmp_path / "data", package_cache, variables=variables) as daemon:
        with daemon.client() as client:
            assert client.post(f"/mlops/training/jobs/{job_id}/retry").status_code < 300
        job = daemon.ended(job_id)
    assert job["status"] == "completed", job
    assert job["run_id"]
    assert (tmp_path / "trained").read_text() == "once\n", "it trained again"
    assert stored(server, bucket) == {"small.txt": 5, "large.bin": 12 * 1024 * 1024}


def test_a_wrong_credential_is_told_by_the_job_and_stores_nothing(
    server: S3Server, tmp_path: Path, package_cache: Path
) -> None:
    bucket = make_bucket(server.url)
    changes = {"AWS_SECRET_ACCESS_KEY": "Zq7-no-key", "RUNNERD_JOBS_FINISH_TIMEOUT": "4"}
    variables = server.daemon_variables(bucket) | changes
    (tmp_path / "go").touch()
    with running_daemon(tmp_path / "data", package_cache, variables=variables) as daemon:
        script_variables = {"FOLDER": str(tmp_path)}
        job_id = daemon.submit(SCRIPT, environment_vars=script_variables)["job_id"]
        job = daemon.ended(job_id)
    assert job["status"] == "failed"
    assert "2 of its artifacts" in job["error"]
    assert "correct AWS_SECRET_ACCESS_KEY" in job["error"]
    assert "Zq7-no-key" not in job["error"]
    assert not stored(server, bucket)
