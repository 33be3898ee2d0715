"""What holds for the repository as a whole."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import runnerd

HOME = re.compile(r"(?:/home/|/root/|/Users/)\w")
LONGEST = 400
ONE_FILE_BY_DESIGN = "runnerd/runner/runner.py"  # it travels beside the script


def test_no_file_names_a_path_of_somebodys_machine(tracked_files: list[Path], root: Path) -> None:
    found = [
        f"{path.relative_to(root)}:{number}"
        for path in tracked_files
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if HOME.search(line) or str(root) in line
    ]
    assert found == [], found


def test_no_source_file_is_too_long(tracked_files: list[Path], root: Path) -> None:
    lengths = {
        str(path.relative_to(root)): len(path.read_text().splitlines())
        for path in tracked_files
        if path.suffix == ".py" and str(path.relative_to(root)) != ONE_FILE_BY_DESIGN
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_the_changelog_has_the_version(root: Path) -> None:
    changelog = (root / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(runnerd.__version__)}\]", changelog, re.MULTILINE)


def test_the_lock_has_every_dependency_in_a_version_that_fits(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    lock = (root / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9.\-_]+)==([^ ;\\]+)", lock, re.MULTILINE))
    misfits = [
        text
        for text in wanted
        if (name := canonicalize_name(Requirement(text).name)) not in pinned
        or pinned[name] not in Requirement(text).specifier
    ]
    assert misfits == [], "run `make lock`"


def test_every_package_in_the_lock_has_a_hash(root: Path) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (root / "requirements.lock").read_text(), flags=re.M)[1:]
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.slow
def test_the_wheel_carries_everything_that_runs(root: Path, tmp_path: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    built = subprocess.run(
        [
            uv,
            "build",
            "--wheel",
            "--no-build-isolation",
            "--python",
            sys.executable,
            "-o",
            tmp_path,
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"runnerd/py.typed", "runnerd/runner/runner.py", "runnerd/migrations/env.py"} <= names
    assert any(name.startswith("runnerd/migrations/versions/0001") for name in names)
    sources = {
        str(path.relative_to(root))
        for ending in ("*.py", "*.tmpl")
        for path in (root / "runnerd").rglob(ending)
    }
    assert sources <= names
    metadata = next(name for name in names if name.endswith("entry_points.txt"))
    entry_points = zipfile.ZipFile(wheel).read(metadata).decode()
    assert "runnerd = runnerd.cli:main" in entry_points
