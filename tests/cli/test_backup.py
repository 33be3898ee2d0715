"""`runnerd backup` and `runnerd restore`, of a house in which nothing has happened yet."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def saved(run: Run, tmp_path: Path) -> Path:
    """A backup of a new house with one artifact."""
    old = tmp_path / "old"
    assert run("db", "upgrade", "--data-dir", str(old)).code == 0
    artifact = old / "plugins" / "local" / "objects" / "artifacts" / "notes.txt"
    artifact.parent.mkdir(parents=True)
    artifact.write_text("hello")
    ran = run("backup", "saved", "--data-dir", str(old))
    assert ran.code == 0, ran.err
    assert "1 artifacts" in ran.out
    assert "are in it" in ran.out
    assert "MLflow has kept nothing yet" in ran.err
    return tmp_path / "saved"


def test_a_backup_is_restored(run: Run, saved: Path, tmp_path: Path) -> None:
    ran = run("restore", str(saved), "--data-dir", "new", COLUMNS="200")
    assert ran.code == 0, ran.err
    assert "Restored 0 jobs" in ran.out
    artifact = tmp_path / "new" / "plugins" / "local" / "objects" / "artifacts" / "notes.txt"
    assert artifact.read_text() == "hello"
    assert run("db", "check", "--data-dir", "new").code == 0

    again = run("restore", str(saved), "--data-dir", "new")
    assert (again.code, again.out) == (1, "")
    assert "is not empty" in again.err


def test_artifacts_that_are_only_listed_must_be_in_the_storage(
    run: Run, saved: Path, tmp_path: Path
) -> None:
    listed = run(
        "backup", "listed", "--artifacts", "manifest", "--data-dir", "old", "--json", COLUMNS="200"
    )
    assert json.loads(listed.out)["artifacts"] == "manifest"

    ran = run("restore", "listed", "--data-dir", "new", COLUMNS="200")

    assert ran.code == 1
    assert "Restored 0 jobs" in ran.out
    assert "artifacts/notes.txt" in ran.out
    assert "it is not there" in ran.out


def test_a_backup_that_failed_says_that_it_is_none(run: Run, tmp_path: Path) -> None:
    ran = run("backup", "saved", "--data-dir", str(tmp_path / "nothing"))
    assert (ran.code, ran.out) == (1, "")
    assert "there is no database" in ran.err
    assert "There is no whole backup in saved" in ran.err
