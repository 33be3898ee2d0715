"""Tests the distributions of ``plugins_contrib/``, each by itself, as its own author would.

``python -m scripts.contrib [NAME…] [pytest's options]``. A distribution is built, and installed
into a folder of its own, which is on the path of its tests and of the daemons that they start. It
is never installed into ``.venv``: what runs there sees the built-in plugins alone.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import uv

ROOT = Path(__file__).parents[1]
CONTRIB = ROOT / "plugins_contrib"
SITES = ROOT / ".cache" / "contrib"
NO_TESTS = 5  # pytest's exit code where options deselect everything
REQUIRED = "RUNNERD_TEST_REQUIRE"


def distributions() -> list[Path]:
    """Give the folder of each distribution, by name."""
    return sorted(path.parent for path in CONTRIB.glob("*/pyproject.toml"))


def project(folder: Path) -> dict[str, Any]:
    """Give what a distribution's ``pyproject.toml`` says."""
    return tomllib.loads((folder / "pyproject.toml").read_text())


def markers(folder: Path) -> set[str]:
    """Give the names of the markers that a distribution's tests bear."""
    stated = project(folder)["tool"]["pytest"]["ini_options"].get("markers", ())
    return {each.partition(":")[0] for each in stated}


def install(folder: Path, site: Path) -> None:
    """Build a distribution and install it, without what it depends on, into ``site`` alone."""
    shutil.rmtree(site, ignore_errors=True)
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", sys.executable]
    command += ["--no-deps", "--no-build-isolation", "--reinstall", "--target", str(site)]
    subprocess.run([*command, str(folder)], check=True, timeout=120)


def test(folder: Path, options: list[str]) -> int:
    """Run a distribution's tests against its installation; gives pytest's exit code."""
    site = SITES / folder.name
    install(folder, site)
    required = sorted(markers(folder) & _required())
    path = [str(site), *([str(ROOT)] if required else [])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(path), REQUIRED: ",".join(required)}
    command = [sys.executable, "-m", "pytest", *(["-p", "tests.must_run"] if required else [])]
    return subprocess.run([*command, *options], cwd=folder, env=variables, check=False).returncode


def main(arguments: list[str]) -> int:
    """Test those that are named, or all; gives the first exit code that is not good."""
    by_name = {folder.name: folder for folder in distributions()}
    known = {marker for folder in by_name.values() for marker in markers(folder)}
    if unknown := sorted(_required() - known):
        print(f"{REQUIRED} names markers that no distribution has: {', '.join(unknown)}")
        return 2
    named = [by_name[each] for each in arguments if each in by_name]
    options = [each for each in arguments if each not in by_name]
    codes = []
    for folder in named or by_name.values():
        print(f"\n{folder.relative_to(ROOT)}", flush=True)
        codes.append(test(folder, options))
    return next((code for code in codes if code not in (0, NO_TESTS)), 0)


def _required() -> set[str]:
    return {name.strip() for name in os.environ.get(REQUIRED, "").split(",")} - {""}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
