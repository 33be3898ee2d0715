"""`runnerd storage copy`, between two folders."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

OBJECTS = {"artifacts/1/r/artifacts/notes.txt": b"hello", "logs/0123/1.log": b"line\n" * 3}


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The folders of FROM and of TO, each with a settings file that names it."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        text = f"data_dir = '{tmp_path / 'data'}'\n[plugins.local]\nroot = '{folder}'\n"
        folder.with_suffix(".toml").write_text(text)
    for key, content in OBJECTS.items():
        file = old / "objects" / key
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    return old, new


def test_objects_go_from_one_folder_to_another(run: Run, places: tuple[Path, Path]) -> None:
    old, new = places
    command = ["storage", "copy", "local", "local", "--config", f"{old}.toml"]
    command += ["--to-config", f"{new}.toml"]

    dry = run(*command, "--dry-run")
    assert (dry.code, "2 objects" in dry.out, "would be copied" in dry.out) == (0, True, True)
    assert not [file for file in (new / "objects").rglob("*") if file.is_file()]

    first = run(*command)
    assert first.code == 0
    assert "2 objects" in first.out
    assert "set storage.plugin" in first.out
    for key, content in OBJECTS.items():
        assert (new / "objects" / key).read_bytes() == content

    again = json.loads(run(*command, "--json").out)
    assert again["copied"] == {"objects": 0, "size": 0}
    assert again["equal"] == {"objects": 2, "size": 20}
    assert again["failed"] == []


def test_what_failed_is_listed_and_the_exit_code_says_so(
    run: Run, places: tuple[Path, Path]
) -> None:
    old, new = places
    (new / "objects" / "artifacts").mkdir(parents=True)
    (new / "objects" / "artifacts" / "1").write_text("in the way")
    command = ("storage", "copy", "local", "local", "--config", f"{old}.toml")

    ran = run(*command, "--to-config", f"{new}.toml", COLUMNS="200")

    assert ran.code == 1
    assert "1 objects" in ran.out
    assert "1 failed" in ran.out
    assert "artifacts/1/r/artifacts/notes.txt" in ran.out
    assert "can't also be a folder" in ran.out
    assert (new / "objects" / "logs/0123/1.log").exists()


def test_a_storage_is_not_copied_to_itself(run: Run, places: tuple[Path, Path]) -> None:
    ran = run("storage", "copy", "local", "local", "--config", f"{places[0]}.toml")
    assert ran.code == 2
    assert "--to-config" in ran.err


def test_variables_describe_the_first_storage_alone(run: Run, places: tuple[Path, Path]) -> None:
    old, new = places
    ran = run(
        *("storage", "copy", "local", "local", "--to-config", f"{new}.toml", "--json"),
        RUNNERD_PLUGINS_LOCAL_ROOT=str(old),
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["copied"]["objects"] == 2
    assert (new / "objects" / "logs/0123/1.log").exists()


@pytest.mark.parametrize(
    ("target", "variables", "words"),
    [
        ("s4", {}, "there is no plugin 's4' for the storage: did you mean 's3'"),
        ("s3", {}, "needs a bucket: set bucket in [plugins.s3]"),
        ("local", {"RUNNERD_PLUGINS_LOCAL_ROOT": "/proc/nowhere"}, "/proc/nowhere can't be used"),
    ],
)
def test_a_storage_that_can_not_be_used_is_said_in_one_sentence(
    run: Run, places: tuple[Path, Path], target: str, variables: dict[str, str], words: str
) -> None:
    arguments = ["storage", "copy", "local", target]
    if target == "local":
        arguments += ["--to-config", f"{places[1]}.toml"]
    ran = run(*arguments, **variables)
    assert (ran.code, ran.out) == (1, "")
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
