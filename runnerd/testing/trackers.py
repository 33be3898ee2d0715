"""The conformance suite of trackers."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from packaging.requirements import Requirement

from runnerd.plugins import (
    BackendAway,
    ForwardRequest,
    NotFound,
    Refused,
    RunModel,
    Tracker,
    TrackerCapability,
)
from runnerd.testing.rules import proves
from runnerd.testing.storages.ground import stream

JSON = {"Content-Type": "application/json"}
API = "/api/2.0/mlflow/"


class TrackerGround:
    """A subclass gives ``make_tracker``; what fills the backend goes through its MLflow API.

    ``patience`` is how many seconds the backend may take to start.
    """

    patience: ClassVar[float] = 240.0
    pytestmark = pytest.mark.anyio

    @staticmethod
    def make_tracker(folder: Path) -> Tracker:
        """Build a tracker, not opened; ``folder`` is one of its own, ``tracker-…`` in it empty."""
        raise NotImplementedError("give the suite a make_tracker(folder)")

    @staticmethod
    def make_away_tracker(folder: Path) -> Tracker:
        """Build a tracker whose backend can't be reached."""
        pytest.skip("the suite has no backend that is away: override `make_away_tracker`")

    @pytest.fixture(scope="class")
    @classmethod
    def anyio_backend(cls) -> str:
        return "asyncio"

    @pytest.fixture(scope="class")
    @classmethod
    async def tracker(cls, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tracker]:
        """One tracker for all tests of a class, since backends may take long to start."""
        opened = cls.make_tracker(tmp_path_factory.mktemp("tracker"))
        await opened.open()
        await opened.wait_ready(cls.patience)
        yield opened
        await opened.close()

    async def new_run(self, tracker: Tracker, parent: str | None = None) -> str:
        """Make a run as a client does; gives its id."""
        return await new_run(tracker, parent)

    async def log(self, tracker: Tracker, run_id: str, metric: float, parameter: str) -> None:
        """Log the metric ``m`` and the parameter ``p`` to a run."""
        await rest(tracker, "runs/log-metric", run_id=run_id, key="m", value=metric, timestamp=2)
        await rest(tracker, "runs/log-parameter", run_id=run_id, key="p", value=parameter)

    async def new_model(self, tracker: Tracker, run_id: str, *, whole: bool = True) -> str:
        """Log a model to a run, or begin to; gives its id."""
        return await new_model(tracker, run_id, whole=whole)

    async def new_alias(self, tracker: Tracker, name: str, alias: str, version: str) -> None:
        """Give a version of a registered model an alias."""
        fields = {"name": name, "alias": alias, "version": version}
        await rest(tracker, "registered-models/alias", **fields)

    async def logged_model(self, tracker: Tracker) -> RunModel:
        """Make a run with one model in it."""
        run_id = await self.new_run(tracker)
        await self.new_model(tracker, run_id)
        (model,) = await tracker.models_of_run(run_id)
        return model


async def rest(tracker: Tracker, path: str, method: str = "POST", **fields: Any) -> Any:
    """Ask the backend by MLflow's own API, as any client would."""
    request = ForwardRequest(method, API + path, JSON, json.dumps(fields).encode())
    async with tracker.forward(request) as response:
        body = b"".join([piece async for piece in response.body])
    assert response.status == 200, body
    return json.loads(body)


async def new_run(tracker: Tracker, parent: str | None = None) -> str:
    """Make a run by the calls that MLflow clients make; gives its id."""
    tags = [{"key": "mlflow.parentRunId", "value": parent}] if parent else []
    answer = await rest(tracker, "runs/create", experiment_id="0", start_time=1, tags=tags)
    run_id: str = answer["run"]["info"]["run_id"]
    return run_id


async def new_model(tracker: Tracker, run_id: str, *, whole: bool = True) -> str:
    """Log a model to a run by the calls that MLflow 3 clients make, or begin to; gives its id."""
    fields = {"experiment_id": "0", "name": "model", "source_run_id": run_id}
    created = await rest(tracker, "logged-models", **fields)
    model_id: str = created["model"]["info"]["model_id"]
    outputs = [{"model_id": model_id, "step": 0}]
    await rest(tracker, "runs/outputs", run_id=run_id, models=outputs)
    if whole:
        status = {"model_id": model_id, "status": "LOGGED_MODEL_READY"}
        await rest(tracker, f"logged-models/{model_id}", "PATCH", **status)
    return model_id


class TrackerSuite(TrackerGround):
    """Every rule of ``Tracker``. A subclass gives ``make_tracker`` and is called ``Test…``."""

    @proves("open-does-not-wait", "close-unopened")
    async def test_opening_waits_for_nothing(self, tmp_path: Path) -> None:
        await self.make_tracker(tmp_path / "tracker-unopened").close()
        opened = self.make_tracker(tmp_path / "tracker-opened")
        with anyio.fail_after(10):
            await opened.open()
        await opened.close()

    @proves("health-when-ready", "ready-or-away")
    async def test_a_ready_backend_is_healthy(self, tracker: Tracker) -> None:
        await tracker.wait_ready(5)
        health = await tracker.health()
        assert health.healthy, health.detail

    @proves("error-away", "health-never-raises", "ready-or-away")
    async def test_a_backend_that_is_away_is_told(self, tmp_path: Path) -> None:
        away = self.make_away_tracker(tmp_path / "tracker-away")
        await away.open()
        try:
            with anyio.fail_after(5):
                health = await away.health()
            assert not health.healthy
            assert health.detail
            with pytest.raises(BackendAway):
                await away.wait_ready(0.2)
            for verb in (away.get_run, away.models_of_run, away.get_model):
                with pytest.raises(BackendAway):
                    await verb("x")
            with pytest.raises(BackendAway):
                await away.list_models()
        finally:
            await away.close()

    @proves("requirements-parse", "address-is-public")
    async def test_what_it_says_of_itself(self, tracker: Tracker) -> None:
        assert all(Requirement(text).name for text in tracker.client_requirements)
        assert tracker.address
        assert "@" not in tracker.address

    @proves("forward-as-it-is")
    async def test_the_backends_refusals_come_back(self, tracker: Tracker) -> None:
        request = ForwardRequest("GET", API + "runs/get?run_id=nope", {})
        async with tracker.forward(request) as response:
            body = b"".join([piece async for piece in response.body])
        assert response.status == 404
        assert json.loads(body)["error_code"] == "RESOURCE_DOES_NOT_EXIST"

    @proves("forward-streamed-body")
    async def test_a_body_of_unknown_length_arrives_whole(self, tracker: Tracker) -> None:
        run_id = await self.new_run(tracker)
        body = json.dumps({"run_id": run_id, "key": "p", "value": "whole"}).encode()
        pieces = stream(body[:9], b"", body[9:])
        request = ForwardRequest("POST", API + "runs/log-parameter", JSON, pieces)
        async with tracker.forward(request) as response:
            assert response.status == 200
        assert (await tracker.get_run(run_id)).params == {"p": "whole"}

    @proves("run-described")
    async def test_a_run_is_described(self, tracker: Tracker) -> None:
        parent = await self.new_run(tracker)
        run_id = await self.new_run(tracker, parent)
        for metric in (1.5, 2.5):
            await self.log(tracker, run_id, metric, "ü")
        run = await tracker.get_run(run_id)
        assert (run.run_id, run.status, run.parent_id) == (run_id, "RUNNING", parent)
        assert (run.metrics, run.params) == ({"m": 2.5}, {"p": "ü"})
        assert (await tracker.get_run(parent)).parent_id is None

    @proves("end-once")
    async def test_only_an_open_run_is_ended(self, tracker: Tracker) -> None:
        run_id = await self.new_run(tracker)
        await tracker.end_run(run_id, "KILLED")
        await tracker.end_run(run_id, "FINISHED")
        assert (await tracker.get_run(run_id)).status == "KILLED"

    @proves("models-in-order")
    async def test_models_of_a_run_come_oldest_first_and_whole(self, tracker: Tracker) -> None:
        run_id = await self.new_run(tracker)
        assert await tracker.models_of_run(run_id) == []
        first = await self.new_model(tracker, run_id)
        await self.new_model(tracker, run_id, whole=False)
        last = await self.new_model(tracker, run_id)
        found = await tracker.models_of_run(run_id)
        assert [model.model_id for model in found] == [first, last]
        assert {model.run_id for model in found} == {run_id}

    @proves("register-once", "register-counts", "register-again")
    async def test_a_model_is_registered_once_if_asked_to(self, tracker: Tracker) -> None:
        model = await self.logged_model(tracker)
        name = 'it\'s "ours" ü'
        made = await tracker.register(name, model, description="d", tags={"a": "1"}, once=True)
        assert (made.name, made.version, made.run_id) == (name, "1", model.run_id)
        assert made.description == "d"
        same = await tracker.register(name, model, tags={"b": "2"}, once=True)
        assert (same.version, same.tags) == ("1", {"a": "1", "b": "2"})
        assert same.artifacts == made.artifacts
        assert (await tracker.register("elsewhere", model, tags={}, once=True)).version == "1"
        assert (await tracker.register(name, model, tags={}, once=False)).version == "2"

    @proves("register-refused")
    async def test_what_can_not_be_registered_is_refused(self, tracker: Tracker) -> None:
        model = await self.logged_model(tracker)
        with pytest.raises(Refused):
            await tracker.register("", model, tags={}, once=False)

    @proves("version-by-any-name", "model-described", "error-not-found")
    async def test_versions_are_found_by_number_newest_and_alias(self, tracker: Tracker) -> None:
        model = await self.logged_model(tracker)
        for _ in range(2):
            await tracker.register("found", model, tags={}, once=False)
        await self.new_alias(tracker, "found", "champion", "1")
        assert (await tracker.get_version("found", "1")).version == "1"
        assert (await tracker.get_version("found", "latest")).version == "2"
        assert (await tracker.get_version("found", "@champion")).version == "1"
        for unknown in ("3", "0", "@nobody", "newest", "-1", "1" * 30):
            with pytest.raises(NotFound):
                await tracker.get_version("found", unknown)
        described = await tracker.get_model("found")
        assert described.aliases == {"champion": "1"}
        assert [version.version for version in described.latest_versions] == ["2"]

    @proves("error-not-found")
    async def test_what_is_not_there_is_named(self, tracker: Tracker) -> None:
        for verb in (tracker.get_run, tracker.models_of_run, tracker.get_model):
            with pytest.raises(NotFound, match="nope"):
                await verb("nope")
        with pytest.raises(NotFound, match="nope"):
            await tracker.end_run("nope", "FINISHED")
        with pytest.raises(NotFound, match="nope"):
            await tracker.get_version("nope", "latest")

    @proves("list-by-name", "census-counts")
    async def test_models_are_listed_by_name_and_counted(self, tracker: Tracker) -> None:
        counts = TrackerCapability.CENSUS in tracker.capabilities
        before = await tracker.census() if counts else None
        model = await self.logged_model(tracker)
        for name in ("zz", "aa"):
            await tracker.register(name, model, tags={}, once=False)
        names = [each.name for each in await tracker.list_models()]
        assert names == sorted(names)
        assert {"aa", "zz"} <= set(names)
        if before is not None:
            assert (await tracker.census()).registered_models == before.registered_models + 2

    @proves("verbs-side-by-side")
    async def test_many_at_once_are_all_served(self, tracker: Tracker) -> None:
        run_ids: list[str] = []

        async def create() -> None:
            run_id = await self.new_run(tracker)
            await tracker.end_run(run_id, "FINISHED")
            run_ids.append((await tracker.get_run(run_id)).run_id)

        async with anyio.create_task_group() as group:
            for _ in range(40):
                group.start_soon(create)
        assert len(set(run_ids)) == 40
