"""What holds for each distribution in ``plugins_contrib/``. Their own tests: ``make contrib``."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.contrib import ROOT, distributions, install, markers, project

PUBLISHED = frozenset(
    {
        "runnerd.jobs",
        "runnerd.plugins",
        "runnerd.plugins.mlflow",  # a tracker may be built on it: `runnerd plugins new` does
        "runnerd.testing",
        "runnerd.testing.daemons",
        "runnerd.testing.executors.ground",  # `runnerd plugins new` names it to executors
        "runnerd.testing.fixtures",
    }
)
each_distribution = pytest.mark.parametrize("folder", distributions(), ids=lambda each: each.name)


def imports_of_runnerd(source: Path) -> Iterator[tuple[str, str]]:
    """Give module and name of everything that a file imports from runnerd."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "runnerd":
            yield from ((node.module or "", alias.name) for alias in node.names)
        if isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            yield from ((name, "") for name in names if name.split(".")[0] == "runnerd")


@each_distribution
def test_only_what_is_published_is_imported(folder: Path) -> None:
    for source in folder.rglob("*.py"):
        for module, name in imports_of_runnerd(source):
            where = f"{source.relative_to(ROOT)} imports {name} from {module}"
            assert module in PUBLISHED, where
            assert name in getattr(importlib.import_module(module), "__all__", [name]), where


@each_distribution
def test_it_is_found_as_it_is_installed(folder: Path, tmp_path: Path) -> None:
    install(folder, tmp_path / "site")
    stated = project(folder)["project"]
    ran = subprocess.run(
        [sys.executable, "-m", "runnerd", "plugins", "list", "--installed", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = {each["name"]: each for each in json.loads(ran.stdout)}
    for name in stated["entry-points"]["runnerd"]:
        assert found[name]["standing"] == "loaded", found[name]
        assert found[name]["distribution"] == stated["name"] == folder.name
        assert found[name]["version"] == stated["version"]


@each_distribution
def test_the_lock_has_what_it_needs(folder: Path) -> None:
    stated = project(folder)["project"]
    wanted = stated["dependencies"] + stated["optional-dependencies"]["test"]
    lock = (ROOT / "requirements.lock").read_text()
    pinned = dict(re.findall(r"^([a-z0-9.\-_]+)==([^ ;\\]+)", lock, re.MULTILINE))
    needed = [each for text in wanted if (each := Requirement(text)).name != "runnerd"]
    misfits = [
        str(each)
        for each in needed
        if pinned.get(canonicalize_name(each.name), "0") not in each.specifier
    ]
    assert misfits == [], "add it to the group contrib in pyproject.toml, and run `make lock`"


@each_distribution
def test_the_readme_and_the_index_of_plugins_name_it(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    assert f"pip install {folder.name}" in readme
    for name in project(folder)["project"]["entry-points"]["runnerd"]:
        assert f"[plugins.{name}]" in readme
    index = (ROOT / "docs" / "plugins" / "index.md").read_text()
    assert f"../../plugins_contrib/{folder.name}/README.md" in index


def test_none_of_them_is_installed_where_the_other_tests_run() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "runnerd", "plugins", "list", "--installed", "--json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = {each["distribution"] for each in json.loads(ran.stdout)}
    assert found == {"runnerd"}


def test_runnerds_own_distribution_has_none_of_them() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert built["targets"]["wheel"]["packages"] == ["runnerd"]
    assert not [each for each in built["targets"]["sdist"]["include"] if "contrib" in each]


def test_continuous_integration_skips_none_of_their_tests() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    (required,) = re.findall(r"^RUNNERD_TEST_REQUIRE=(\S*) twice contrib$", ci, re.MULTILINE)
    assert set(required.split(",")) - {""} == {
        marker for folder in distributions() for marker in markers(folder)
    }
