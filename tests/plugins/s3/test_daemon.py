"""A whole daemon whose storage is S3, and one whose storage is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runnerd.testing.daemons import RunningDaemon, running_daemon
from tests.s3 import S3Server, make_bucket

pytestmark = [pytest.mark.s3, pytest.mark.slow]
PROBE = """
import sys
from runnerd.daemon import load_plugins
from runnerd.plugins import PluginContext
from pathlib import Path
load_plugins().storage(sys.argv[1], {}, PluginContext(Path(sys.argv[2]), ""))
print("boto3" in sys.modules, "botocore" in sys.modules)
"""


def storage_of(daemon: RunningDaemon) -> dict[str, str]:
    with daemon.client() as client:
        found: dict[str, str] = client.get("/mlops/status").json()["plugins"]["storage"]
    return found


@pytest.mark.parametrize(("plugin", "imported"), [("local", "False False"), ("s3", "True True")])
def test_boto3_is_imported_where_it_is_used(plugin: str, imported: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROBE, plugin, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split("\n")[-2] == imported


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "correct AWS_SECRET_ACCESS_KEY"),
        ({"RUNNERD_PLUGINS_S3_BUCKET": "missing"}, "no bucket 'missing' at"),
    ],
)
def test_what_is_wrong_is_said_everywhere_and_nothing_is_lost(
    s3: S3Server, tmp_path: Path, package_cache: Path, changes: dict[str, str], words: str
) -> None:
    route = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/k"
    variables = s3.daemon_variables(make_bucket(s3.url)) | changes
    with running_daemon(tmp_path / "data", package_cache, variables=variables) as daemon:
        assert words in seen_by_probe(daemon)
        with daemon.client() as client:
            assert client.put(route, content=b"1").status_code == 200
            assert client.get(route).content == b"1"
        assert "1 artifacts (1 bytes) wait on this machine" in seen_later(daemon, "wait")
        assert words in doctor(variables, daemon.data_dir, daemon.url)
        assert words in daemon.log.read_text()
    assert words in doctor(variables, tmp_path / "data", daemon.url), "only a daemon would say it"


def seen_by_probe(daemon: RunningDaemon) -> str:
    """Give what the first probe saw."""
    while storage_of(daemon)["condition"] == "starting":
        pass
    assert storage_of(daemon)["condition"] == "unhealthy"
    return storage_of(daemon)["detail"]


def seen_later(daemon: RunningDaemon, word: str) -> str:
    """Give what a later probe saw, as soon as it has that word. The test's time limit ends it."""
    while word not in (detail := storage_of(daemon)["detail"]):
        pass
    return detail


def doctor(variables: dict[str, str], data_dir: Path, url: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(data_dir), **variables}
    command = [sys.executable, "-m", "runnerd", "doctor", "--json", "--data-dir", str(data_dir)]
    ran = subprocess.run(
        [*command, "--url", url],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 1
    return ran.stdout
