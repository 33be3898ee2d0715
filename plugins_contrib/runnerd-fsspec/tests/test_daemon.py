"""A whole daemon that keeps its artifacts in the plugin."""

import json
from pathlib import Path

import pytest
from conftest import PASSWORD, SftpServer

from runnerd.testing.fixtures import StartDaemon

PUT = "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/k"


@pytest.mark.rclone
def test_a_daemon_keeps_artifacts_on_a_server(start_daemon: StartDaemon, sftp: SftpServer) -> None:
    settings = sftp.sftp_settings("daemon")
    daemon = start_daemon(
        RUNNERD_STORAGE_PLUGIN="fsspec",
        RUNNERD_PLUGINS_FSSPEC_URL=str(settings["url"]),
        RUNNERD_PLUGINS_FSSPEC_OPTIONS=json.dumps(settings["options"]),
        RUNNERD_PLUGINS_FSSPEC_SECRETS=json.dumps(settings["secrets"]),
    )
    assert daemon.run("print('hello')")["status"] == "completed"
    with daemon.client() as client:
        assert client.put(PUT, content=b"kept").status_code == 200
        assert client.get(PUT).content == b"kept"
        listed = client.get("/mlops/plugins").json()["plugins"]
    (plugin,) = [each for each in listed if each["name"] == "fsspec"]
    assert plugin["used_as"] == ["storage"]
    assert plugin["health"]["condition"] == "healthy", plugin["health"]
    kept = [path for path in (sftp.folder / "daemon").rglob("k") if path.is_file()]
    assert [path.read_bytes() for path in kept] == [b"kept"]
    assert PASSWORD not in daemon.log.read_text()


def test_a_daemon_keeps_artifacts_in_a_folder(start_daemon: StartDaemon, tmp_path: Path) -> None:
    daemon = start_daemon(
        RUNNERD_STORAGE_PLUGIN="fsspec", RUNNERD_PLUGINS_FSSPEC_URL=f"file://{tmp_path}/objects"
    )
    with daemon.client() as client:
        assert client.put(PUT, content=b"kept").status_code == 200
        assert client.get(PUT).content == b"kept"
