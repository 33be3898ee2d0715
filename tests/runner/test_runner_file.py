"""The runner file itself: where it runs, how it starts, and what it does without an executor."""

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runnerd.runner import RUNNER_FILE
from tests.runner.plans import bare_plan, lay_out, record_in, start_runner


def old_pythons() -> list[Path]:
    """Interpreters of Python 3.8 to be found on this machine."""
    roots = [Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"]
    found = [path / "bin" / "python3.8" for root in roots for path in root.glob("3.8*")]
    named = shutil.which("python3.8")
    return found or ([Path(named).resolve()] if named else [])


def test_the_file_is_python_3_8() -> None:
    ast.parse(RUNNER_FILE.read_text(), feature_version=(3, 8))


def test_the_file_imports_the_standard_library_only() -> None:
    tree = ast.parse(RUNNER_FILE.read_text())
    names = {
        alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        str(node.module).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
    }
    assert names <= sys.stdlib_module_names


def test_it_runs_a_script_under_python_3_8(tmp_path: Path, package_cache: Path) -> None:
    pythons = old_pythons()
    if not pythons:
        pytest.skip("no Python 3.8 on this machine")
    plan = bare_plan(tmp_path / "environments", package_cache)
    folder = lay_out(tmp_path / "attempt", "raise SystemExit(3)", plan)
    with start_runner("run", str(folder), python=pythons[0]) as process:
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert record_in(folder)["exit_code"] == 3


def test_an_unknown_command_is_explained() -> None:
    with start_runner("dance") as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "run FOLDER" in errors


def test_a_sweep_kills_what_bears_the_attempts_mark_and_nothing_else() -> None:
    command = ["sleep", "60"]
    marked = [
        subprocess.Popen(command, env={"RUNNERD_ATTEMPT_ID": "a"}, start_new_session=True)
        for _ in range(2)
    ]
    other = subprocess.Popen(command, env={"RUNNERD_ATTEMPT_ID": "ab"})
    try:
        with start_runner("sweep", "a") as process:
            _, errors = process.communicate(timeout=30)
        assert (process.returncode, errors) == (0, "")
        assert [each.wait(timeout=10) for each in marked] == [-signal.SIGKILL] * 2
        assert other.poll() is None
    finally:
        for each in (*marked, other):
            each.kill()
            each.wait()


def test_a_script_killed_for_want_of_memory_is_told_from_a_killed_one(
    tmp_path: Path, package_cache: Path
) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    folder = lay_out(tmp_path / "attempt", "hoard = bytearray(400_000_000)", plan)
    group = memory_group(100_000_000)
    command = [sys.executable, "-I", "-S", str(RUNNER_FILE), "run", str(folder)]
    try:
        with subprocess.Popen(
            ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', group, *command]
        ) as process:
            process.wait(timeout=60)
    finally:
        group.rmdir()
    record = record_in(folder)
    assert (record["cause"], record["signal"]) == ("out_of_memory", signal.SIGKILL)


def memory_group(limit: int) -> Path:
    """Make a memory cgroup below our own, of whichever version there is; skip where we may not."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = "/sys/fs/cgroup" + ("/memory" if controllers else "") + path.rstrip("/")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        group = Path(root) / f"runnerd-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / name).write_text(str(limit))
        except OSError:
            group.rmdir()
            continue
        return group
    pytest.skip("no memory cgroup may be made here")
