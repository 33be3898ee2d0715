"""The environment variables of a script."""

from datetime import UTC, datetime

from runnerd.jobs import Job, JobSpecification, JobState
from runnerd.scheduler.variables import script_variables


def composed(asked: dict[str, str]) -> dict[str, str]:
    job = Job(
        id="f" * 32,
        specification=JobSpecification(
            script_name="a.py",
            script="",
            experiment_name="iris",
            model_name="m",
            environment_vars=asked,
        ),
        state=JobState.PREPARING,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return script_variables(
        job,
        origin="http://127.0.0.1:8000",
        secret="rnj_x",
        passed=("PATH", "LANG", "TZ"),
        daemon={"PATH": "/bin", "LANG": "C", "AWS_SECRET_ACCESS_KEY": "hush"},
    )


def test_only_allowed_variables_of_the_daemon_are_seen() -> None:
    variables = composed({})
    assert variables["PATH"] == "/bin"
    assert "TZ" not in variables and "AWS_SECRET_ACCESS_KEY" not in variables


def test_the_jobs_own_win_over_the_daemons_and_arrive_unchanged() -> None:
    odd = "a 'b' \"c\"\n$(d) `e` \\f ${G}"
    variables = composed({"LANG": "de", "ODD": odd, "MLFLOW_EXPERIMENT_NAME": "other"})
    assert variables["LANG"] == "de"
    assert variables["ODD"] == odd
    assert variables["MLFLOW_EXPERIMENT_NAME"] == "other"


def test_the_way_to_the_tracker_is_not_the_jobs_to_choose() -> None:
    asked = dict.fromkeys(("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN"), "evil")
    variables = composed({**asked, "RUNNERD_JOB_ID": "evil"})
    assert variables["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:8000"
    assert variables["MLFLOW_TRACKING_TOKEN"] == "rnj_x"
    assert variables["RUNNERD_JOB_ID"] == "f" * 32
