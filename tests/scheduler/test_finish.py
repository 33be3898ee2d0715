"""What follows a script's end."""

from datetime import UTC, datetime

import pytest

from runnerd.jobs import Cause, Job, JobSpecification, JobState, Outcome
from runnerd.plugins import BackendAway, Refused, Run, RunModel
from runnerd.scheduler.finish import close_runs, collect
from runnerd.store import MadeModel, MadeRun, Makings
from runnerd.testing import FakeTracker

pytestmark = pytest.mark.anyio

JOB = Job(
    id="0" * 32,
    specification=JobSpecification(
        script_name="a.py",
        script="",
        experiment_name="e",
        model_name="forest",
        tags={"team": "blue"},
    ),
    state=JobState.FINISHING,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    environment_key="key",
)


def tracker_with(*run_ids: str) -> FakeTracker:
    return FakeTracker(runs={run_id: Run(run_id, "1", "RUNNING") for run_id in run_ids})


def makings(*runs: tuple[str, str | None], models: tuple[tuple[str, str], ...] = ()) -> Makings:
    return Makings(
        tuple(MadeRun(run_id, parent) for run_id, parent in runs),
        tuple(MadeModel(model_id, run_id) for model_id, run_id in models),
        (),
    )


def model(model_id: str, run_id: str) -> RunModel:
    return RunModel(run_id, f"models:/{model_id}", model_id)


async def test_the_last_model_is_registered_with_the_jobs_tags() -> None:
    tracker = tracker_with("parent", "child")
    tracker.models = {"parent": [model("m-2", "parent")], "child": [model("m-1", "child")]}
    made = makings(
        ("parent", None), ("child", "parent"), models=(("m-1", "child"), ("m-2", "parent"))
    )
    result = await collect(tracker, JOB, made, register=True)
    assert (result.run_id, result.model_version, result.error) == ("parent", "1", None)
    assert tracker.sources == ["models:/m-2"]
    assert tracker.versions[0].tags == {
        "team": "blue",
        "runnerd.job_id": JOB.id,
        "runnerd.environment": "key",
    }


async def test_finishing_again_registers_nothing_twice() -> None:
    tracker = tracker_with("r")
    tracker.models = {"r": [model("m-1", "r")]}
    made = makings(("r", None), models=(("m-1", "r"),))
    first = await collect(tracker, JOB, made, register=True)
    again = await collect(tracker, JOB, made, register=True)
    assert first == again
    assert len(tracker.versions) == 1


async def test_a_model_of_an_mlflow_2_client_has_no_id() -> None:
    tracker = tracker_with("r")
    tracker.models = {"r": [RunModel("r", "runs:/r/model")]}
    result = await collect(tracker, JOB, makings(("r", None)), register=True)
    assert result.model_version == "1"


async def test_a_job_without_a_model_is_warned_about() -> None:
    tracker = tracker_with("parent", "child")
    made = makings(("parent", None), ("child", "parent"))
    result = await collect(tracker, JOB, made, register=True)
    assert (result.run_id, result.model_version) == ("parent", None)
    assert "logged no model" in result.warnings[0]
    without = await collect(tracker, JOB, makings(), register=True)
    assert without.run_id is None and "no MLflow run" in without.warnings[0]


async def test_a_failed_job_registers_nothing_and_keeps_its_run() -> None:
    tracker = tracker_with("r")
    tracker.models = {"r": [model("m-1", "r")]}
    result = await collect(tracker, JOB, makings(("r", None)), register=False)
    assert result.run_id == "r"
    assert tracker.versions == [] and result.warnings == ()


async def test_a_refused_registration_is_an_error_that_names_the_model() -> None:
    class Refusing(FakeTracker):
        async def register(self, *_: object, **__: object) -> None:  # type: ignore[override]
            raise Refused("the name is taken by a prompt")

    tracker = Refusing(runs={"r": Run("r", "1", "RUNNING")}, models={"r": [model("m-1", "r")]})
    result = await collect(tracker, JOB, makings(("r", None)), register=True)
    assert result.error is not None
    assert "'forest'" in result.error and "taken by a prompt" in result.error


async def test_an_away_tracker_is_for_the_caller_to_wait_for() -> None:
    tracker = FakeTracker(away=True)
    with pytest.raises(BackendAway):
        await collect(tracker, JOB, makings(("r", None)), register=True)


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome(Cause.EXITED, 0), "FINISHED"),
        (Outcome(Cause.EXITED, 1), "FAILED"),
        (Outcome(Cause.TIMEOUT, signal=15), "KILLED"),
        (Outcome(Cause.LOST), "KILLED"),
    ],
)
async def test_open_runs_are_closed_by_how_the_script_ended(outcome: Outcome, status: str) -> None:
    tracker = tracker_with("a", "b")
    tracker.runs["b"] = Run("b", "1", "FINISHED")
    made = makings(("a", None), ("deleted", None), ("b", "a"))
    await close_runs(tracker, made, outcome, attempt=1)
    assert [run.status for run in tracker.runs.values()] == [status, "FINISHED"]


async def test_the_runs_of_an_earlier_attempt_were_killed() -> None:
    tracker = tracker_with("lost", "last")
    made = Makings((MadeRun("lost", None, 1), MadeRun("last", None, 2)), (), ())
    await close_runs(tracker, made, Outcome(Cause.EXITED, 0), attempt=2)
    assert [run.status for run in tracker.runs.values()] == ["KILLED", "FINISHED"]
