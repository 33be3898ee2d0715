"""Environment plans for tests, and running the runner file on them."""

import json
import platform
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import uv

from runnerd.jobs import EnvironmentPlan
from runnerd.runner import RUNNER_FILE

PYTHON = Path(sys.executable).resolve()


def bare_plan(root: Path, cache: Path, **changes: Any) -> EnvironmentPlan:
    """A plan of an environment with nothing in it; such a one is built in a moment."""
    plan = EnvironmentPlan(
        key="0" * 16,
        lock="",
        python=str(PYTHON),
        python_version=platform.python_version(),
        root=str(root),
        cache=str(cache),
        uv=uv.find_uv_bin(),
        build_timeout=60.0,
    )
    return replace(plan, **changes)


def start_runner(*arguments: str, python: Path = PYTHON) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(python), "-I", "-S", str(RUNNER_FILE), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin"},
    )


def start_build(plan: EnvironmentPlan, folder: Path) -> subprocess.Popen[str]:
    plan_file = folder / f"plan-{plan.key}.json"
    plan_file.write_text(json.dumps(asdict(plan)))
    return start_runner("build", str(plan_file))


def build(plan: EnvironmentPlan, folder: Path) -> dict[str, Any]:
    """Build and give what the runner printed."""
    with start_build(plan, folder) as process:
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    printed: dict[str, Any] = json.loads(output)
    return printed


def lay_out(folder: Path, script: str, plan: EnvironmentPlan, **changes: Any) -> Path:
    """Write an attempt's folder as an executor does."""
    (folder / "work").mkdir(parents=True)
    (folder / "work" / "train.py").write_text(script)
    request = {
        "attempt_id": "a" * 32 + "-1",
        "script_name": "train.py",
        "environment": asdict(plan),
        "timeout": 30.0,
        "grace_seconds": 1.0,
        "log_limit": 1_000_000,
        "variables": {},
        **changes,
    }
    (folder / "request.json").write_text(json.dumps(request))
    return folder


def record_in(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "exit.json").read_text())
    return record
