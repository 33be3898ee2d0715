"""Commands that work on this machine's files, with no daemon: config, db, token, doctor."""

import json
import os
import socket
import sqlite3
from pathlib import Path

import pytest

from runnerd.store import migrations
from tests.cli.conftest import Run


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    return str(tmp_path / "data")


def test_config_tells_values_and_sources(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runnerd.toml").write_text("[plugins.mlflow]\nurl = 'http://x'\ntoken = 'abc123'\n")

    ran = run("config", "--json", RUNNERD_SERVER_PORT="9000")

    found = json.loads(ran.out)
    assert found["server.port"] == {"value": 9000, "source": "RUNNERD_SERVER_PORT"}
    assert found["plugins.mlflow.url"] == {"value": "http://x", "source": "runnerd.toml"}
    assert found["plugins.mlflow.token"]["value"] == "********"
    assert found["log.level"]["source"] == "default"


def test_config_is_a_table_for_people(run: Run) -> None:
    ran = run("config", RUNNERD_ENVIRONMENTS_INDEX_URL="https://user:abc123@x/", COLUMNS="100")
    assert "abc123" not in ran.out
    line = next(line for line in ran.out.splitlines() if "environments.index_url" in line)
    assert line.split() == [
        "environments.index_url",
        "********",
        "RUNNERD_ENVIRONMENTS_INDEX_URL",
    ]


@pytest.mark.parametrize("command", [("config",), ("token", "list"), ("db", "check"), ("serve",)])
def test_wrong_settings_are_told_all_at_once(run: Run, command: tuple[str, ...]) -> None:
    ran = run(*command, RUNNERD_SERVER_PROT="1", RUNNERD_SERVER_PORT="x")
    assert ran.code == 1
    assert ran.err.splitlines() == [
        "Error: 2 settings are wrong:",
        "  - unknown variable RUNNERD_SERVER_PROT: did you mean RUNNERD_SERVER_PORT?",
        '  - server.port = "x" from RUNNERD_SERVER_PORT: must be a whole number from 0 to 65535',
    ]


def test_a_token_lives_from_create_to_revoke(run: Run, data_dir: str) -> None:
    place = ("--data-dir", data_dir)

    made = run("token", "create", "alice", *place)
    assert made.code == 0
    assert made.out.startswith("rnd_")
    assert len(made.out.split()) == 1

    again = run("token", "create", "alice", *place)
    assert (again.code, again.out) == (1, "")
    assert "alice" in again.err

    listed = json.loads(run("token", "list", "--json", *place).out)
    assert [(each["name"], each["revoked_at"]) for each in listed] == [("alice", None)]

    assert run("token", "revoke", "alice", *place).code == 0
    assert run("token", "revoke", "alice", *place).code == 1
    assert "revoked" in run("token", "list", *place).out


def test_a_secret_is_in_no_file(run: Run, data_dir: str) -> None:
    secret = run("token", "create", "alice", "--data-dir", data_dir).out.strip()
    files = [file for file in Path(data_dir).rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if secret.encode() in file.read_bytes()]
    assert not [file for file in files if file.stat().st_mode & 0o077]


def test_a_token_needs_a_name(run: Run, data_dir: str) -> None:
    assert run("token", "create", " ", "--data-dir", data_dir).code == 2


def test_the_database_is_made_upgraded_and_checked(run: Run, data_dir: str) -> None:
    place = ("--data-dir", data_dir)

    missing = run("db", "check", *place)
    assert missing.code == 1
    assert "runnerd db upgrade" in missing.err
    assert not Path(data_dir).exists()

    first = json.loads(run("db", "upgrade", "--json", *place).out)
    assert first == {"before": None, "after": migrations.head()}
    assert "already" in run("db", "upgrade", *place).out
    assert run("db", "current", *place).out == f"{migrations.head()}\n"
    assert run("db", "check", *place).code == 0


def test_a_newer_database_is_refused_with_both_revisions(run: Run, data_dir: str) -> None:
    run("db", "upgrade", "--data-dir", data_dir)
    with sqlite3.connect(Path(data_dir) / "runnerd.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for command in ("upgrade", "check"):
        ran = run("db", command, "--data-dir", data_dir)
        assert ran.code == 1
        assert "9999" in ran.err
        assert migrations.head() in ran.err


def test_doctor_says_of_each_fault_what_to_do(run: Run, data_dir: str, closed_port: int) -> None:
    away = f"http://127.0.0.1:{closed_port}"
    with socket.create_server(("", 0)) as server:
        ran = run(
            "doctor",
            "--json",
            "--data-dir",
            data_dir,
            RUNNERD_SERVER_HOST="0.0.0.0",
            RUNNERD_SERVER_PORT=str(server.getsockname()[1]),
            RUNNERD_URL=away,
            RUNNERD_ENVIRONMENTS_INDEX_URL=f"{away}/simple",
        )

    found = {finding["name"]: finding for finding in json.loads(ran.out)}
    assert ran.code == 1
    ok = {name for name, finding in found.items() if finding["verdict"] == "ok"}
    assert ok >= {"settings", "data folder", "database", "uv", "python", "mlflow"}
    assert "runnerd serve" in found["daemon"]["cure"]
    assert "environments.index_url" in found["package index"]["cure"]
    assert "runnerd token create" in found["tokens"]["cure"]
    assert f"(pid {os.getpid()})" in found["port"]["detail"]
    assert {found[name]["verdict"] for name in found.keys() - ok} == {"fail"}
    assert not Path(data_dir).exists()


def test_doctor_goes_on_where_the_settings_are_wrong(run: Run, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    ran = run("doctor", "--json", RUNNERD_SERVER_PROT="1", RUNNERD_URL=url)
    found = json.loads(ran.out)
    assert [finding["name"] for finding in found] == ["settings", "daemon"]
    assert "RUNNERD_SERVER_PORT" in found[0]["detail"]
