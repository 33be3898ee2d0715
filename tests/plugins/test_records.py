"""What an executor of somebody else's needs of the runner, from the preparing to the end."""

import subprocess
from pathlib import Path

from runnerd.jobs import Cause
from runnerd.plugins import RUNNER_FILE, AttemptFolder, LaunchRequest, records
from tests.runner.plans import PYTHON, bare_plan

SCRIPT = "import os; print(os.environ['DEVICES'], os.environ['GIVEN'], 'SECRET' in os.environ)"


def test_the_runner_hands_on_what_the_engine_tells_and_nothing_else(
    tmp_path: Path, package_cache: Path
) -> None:
    folder = AttemptFolder("attempt", tmp_path / "attempt")
    folder.path.mkdir()
    request = LaunchRequest(
        attempt_id=folder.attempt_id,
        folder=folder.path,
        script_name="train.py",
        script=SCRIPT,
        environment=bare_plan(tmp_path / "environments", package_cache),
        timeout=60.0,
        grace_seconds=1.0,
        log_limit=1000,
        variables={"GIVEN": "by the request", "DEVICES": "the request's"},
    )
    records.prepare(folder, request, engine_variables=["DEVICES", "NOT_SET"])
    assert records.read_outcome(folder) is None
    subprocess.run(
        [PYTHON, "-I", "-S", RUNNER_FILE, "run", folder.path],
        env={"DEVICES": "3", "SECRET": "of the engine"},
        check=True,
        timeout=120,
    )
    outcome = records.read_outcome(folder)
    assert outcome is not None
    assert (outcome.cause, outcome.exit_code) == (Cause.EXITED, 0)
    assert records.read_output(folder, 0, records.output_size(folder)) == (
        b"3 by the request False\n"
    )
