"""Building environments: once for all, whole or not at all, with the builder's own reason."""

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.runner.plans import bare_plan, build, lay_out, record_in, start_build, start_runner

SLOW_UV = """#!/bin/sh
echo "$1 $$" >> "{log}"
sleep {seconds}
exec "{uv}" "$@"
"""


def uv_that_logs(folder: Path, uv: str, seconds: float = 0.0) -> tuple[str, Path]:
    """A uv that first notes that it was called, so that a test can count its calls."""
    log, script = folder / "uv.log", folder / "uv"
    script.write_text(SLOW_UV.format(log=log, seconds=seconds, uv=uv))
    script.chmod(0o755)
    return str(script), log


def wait_for(path: Path) -> None:
    """Wait until the file is there and has something in it."""
    deadline = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


def test_builds_a_working_environment_and_says_what_it_is(
    tmp_path: Path, package_cache: Path
) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    printed = build(plan, tmp_path)
    folder = Path(plan.root) / plan.key
    assert (printed["folder"], printed["built"]) == (str(folder), True)
    note = json.loads((folder / "runnerd.json").read_text())
    assert note == {"key": plan.key, "python_version": plan.python_version}
    prefix = subprocess.check_output(
        [folder / "bin" / "python", "-c", "import sys; print(sys.prefix)"], text=True
    )
    assert prefix.strip() == str(folder)


def test_a_second_build_builds_nothing(tmp_path: Path, package_cache: Path) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    build(plan, tmp_path)
    uv, log = uv_that_logs(tmp_path, plan.uv)
    printed = build(bare_plan(Path(plan.root), package_cache, uv=uv), tmp_path)
    assert printed["built"] is False
    assert not log.exists()


def test_two_builders_at_once_build_once(tmp_path: Path, package_cache: Path) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    uv, log = uv_that_logs(tmp_path, plan.uv, seconds=0.2)
    plan = bare_plan(Path(plan.root), package_cache, uv=uv)
    builders = [start_build(plan, tmp_path) for _ in range(3)]
    results = [json.loads(builder.communicate(timeout=60)[0]) for builder in builders]
    assert sorted(result["built"] for result in results) == [False, False, True]
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["venv", "pip"]


def test_a_failure_gives_the_builders_reason_and_leaves_nothing(
    tmp_path: Path, package_cache: Path
) -> None:
    lock = "runnerd-has-no-such-package==1.0\n"
    plan = bare_plan(tmp_path / "environments", package_cache, lock=lock, options=("--no-index",))
    with start_build(plan, tmp_path) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "runnerd-has-no-such-package" in errors
    assert "Traceback" not in errors
    assert [entry.name for entry in Path(plan.root).iterdir()] == ["locks"]


def test_what_a_dead_builder_left_is_cleared(tmp_path: Path, package_cache: Path) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    uv, log = uv_that_logs(tmp_path, plan.uv, seconds=60)
    with start_build(bare_plan(Path(plan.root), package_cache, uv=uv), tmp_path) as process:
        wait_for(log)
        process.kill()
    os.killpg(int(log.read_text().split()[1]), signal.SIGKILL)
    assert len(list(Path(plan.root).iterdir())) == 2
    build(plan, tmp_path)
    assert sorted(entry.name for entry in Path(plan.root).iterdir()) == [plan.key, "locks"]


def test_a_build_has_a_time_limit(tmp_path: Path, package_cache: Path) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    uv, log = uv_that_logs(tmp_path, plan.uv, seconds=60)
    plan = bare_plan(Path(plan.root), package_cache, uv=uv, build_timeout=0.3)
    with start_build(plan, tmp_path) as process:
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert errors.strip() == "the environment was not built within 0.3 seconds"
    assert not Path(f"/proc/{log.read_text().split()[1]}").exists()


def test_a_stopped_build_takes_its_builder_along(tmp_path: Path, package_cache: Path) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    uv, log = uv_that_logs(tmp_path, plan.uv, seconds=60)
    with start_build(bare_plan(Path(plan.root), package_cache, uv=uv), tmp_path) as process:
        wait_for(log)
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 3
    assert not Path(f"/proc/{log.read_text().split()[1]}").exists()


def test_the_builder_sees_the_plans_variables_only(tmp_path: Path, package_cache: Path) -> None:
    seen = tmp_path / "seen"
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\n/usr/bin/env > {seen}\nexit 1\n")
    uv.chmod(0o755)
    plan = bare_plan(tmp_path / "e", package_cache, uv=str(uv), variables={"HTTPS_PROXY": "p"})
    with start_build(plan, tmp_path) as process:
        process.communicate(timeout=30)
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert names - {"PWD", "_", "SHLVL", "OLDPWD"} == {"PATH", "HTTPS_PROXY"}


def test_a_running_script_holds_its_environment(tmp_path: Path, package_cache: Path) -> None:
    plan = bare_plan(tmp_path / "environments", package_cache)
    script = (
        "print('x', file=open('here', 'w'), flush=True)\nimport time\nwhile True: time.sleep(0.01)"
    )
    folder = lay_out(tmp_path / "attempt", script, plan)
    with start_runner("run", str(folder)) as process:
        wait_for(folder / "work" / "here")
        lock = (Path(plan.root) / "locks" / f"{plan.key}.lock").open()
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        (folder / "stop.json").write_text('{"cause": "cancelled"}')
        process.terminate()
        process.communicate(timeout=30)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.close()
    assert record_in(folder)["cause"] == "cancelled"


@pytest.mark.slow
def test_bytecode_is_compiled_once_and_for_all_environments_read_only(
    tmp_path: Path, package_cache: Path
) -> None:
    variables = {name: os.environ[name] for name in ("SSL_CERT_FILE",) if name in os.environ}
    cache = tmp_path / "tests" / "uv"
    first, second = (
        bare_plan(
            tmp_path / "environments", cache, key=key, lock="idna==3.10\n", variables=variables
        )
        for key in ("first", "second")
    )
    build(first, tmp_path)
    build(second, tmp_path)
    found = [
        next((Path(plan.root) / plan.key).glob("lib/*/site-packages/idna/__pycache__/core.*.pyc"))
        for plan in (first, second)
    ]
    assert found[0].stat().st_ino == found[1].stat().st_ino
    assert found[0].stat().st_mode & 0o222 == 0
    python = Path(second.root) / second.key / "bin" / "python"
    told = subprocess.run(
        [python, "-v", "-c", "import idna"], stderr=subprocess.PIPE, text=True, check=True
    ).stderr
    assert f"code object from '{found[1]}'" in told
