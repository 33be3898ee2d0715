"""Starting, and refusing to start in words."""

import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from runnerd.store import migrations
from tests.daemon.conftest import Start

pytestmark = pytest.mark.slow


def refused(data_dir: Path, *arguments: str) -> str:
    """Start a daemon that must not come up, and give its last words."""
    ended = subprocess.run(
        [sys.executable, "-m", "runnerd", "serve", "--data-dir", str(data_dir), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        check=False,
    )
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stderr


def test_it_starts_answers_and_stops_clean(start: Start) -> None:
    daemon = start()
    with daemon.client() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 200
    assert daemon.stop() == 0


def test_one_daemon_a_data_folder(start: Start, data_dir: Path) -> None:
    daemon = start()
    words = refused(data_dir, "--port", "0")
    assert f"process {daemon.process.pid}" in words and "--data-dir" in words


def test_a_lock_of_a_killed_daemon_is_no_obstacle(start: Start) -> None:
    start().stop(9)
    assert start().stop() == 0


def test_a_taken_port(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = refused(data_dir, "--port", str(taken.getsockname()[1]))
    assert "--port" in words and "in use" in words


def test_a_newer_schema_is_refused_naming_both_revisions(start: Start, data_dir: Path) -> None:
    start().stop()
    with sqlite3.connect(data_dir / "runnerd.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'later'")
    connection.close()
    words = refused(data_dir, "--port", "0")
    assert "revision later" in words and migrations.head() in words


def test_an_open_address_needs_tokens_or_plain_words(start: Start, data_dir: Path) -> None:
    words = refused(data_dir, "--host", "0.0.0.0", "--port", "0")
    assert "runnerd token create" in words and "allow_unauthenticated" in words
    daemon = start("--host", "0.0.0.0", RUNNERD_SERVER_ALLOW_UNAUTHENTICATED="true")
    assert httpx.get(f"{daemon.url}/mlops/status").status_code == 200


def test_an_open_address_with_a_token(start: Start, data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    made = subprocess.run(
        [sys.executable, "-m", "runnerd", "token", "create", "ops", "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    secret = next(word for word in made.stdout.split() if word.startswith("rnd_"))
    daemon = start("--host", "0.0.0.0")
    without = httpx.get(f"{daemon.url}/mlops/status")
    assert without.status_code == 401
    assert without.headers["content-type"].startswith("application/problem+json")
    for token, status in ((secret, 200), (secret + "x", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{daemon.url}/mlops/status", headers=headers).status_code == status
    assert httpx.get(f"{daemon.url}/healthz").status_code == 200


def test_a_data_folder_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = refused(tmp_path / "file" / "data", "--port", "0")
    assert "data folder" in words and "--data-dir" in words


def test_a_signal_that_comes_early_ends_it_in_order(data_dir: Path) -> None:
    data_dir.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "runnerd", "serve", "--data-dir", str(data_dir), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    holding = data_dir / "runnerd.db"
    deadline = time.monotonic() + 30
    while not holding.exists() and time.monotonic() < deadline:
        time.sleep(0.01)  # a file tells of itself to nobody
    process.terminate()
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert "runnerd stops" in words
