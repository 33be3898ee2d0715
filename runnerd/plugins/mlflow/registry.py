"""The typed verbs of a tracker, by MLflow's REST interface."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from runnerd.plugins.errors import NotFound
from runnerd.plugins.mlflow.records import (
    history_of,
    model_of,
    run_of,
    storage_key,
    version_of,
)
from runnerd.plugins.mlflow.rest import AlreadyThere, Rest
from runnerd.plugins.tracker import Census, ModelVersion, RegisteredModel, Run, RunModel

OPEN_STATUSES = ("RUNNING", "SCHEDULED")
MODEL_READY = "LOGGED_MODEL_READY"
SOURCE_SCHEME = "models:/"

# MLflow fails on more than its database's integers hold.
_NUMBER = re.compile(r"[0-9]{1,9}")


class Registry:
    """Runs and models of one server. ``origin`` is the daemon's own address."""

    def __init__(self, rest: Rest, origin: str) -> None:
        self._rest = rest
        self._origin = origin

    async def get_run(self, run_id: str) -> Run:
        """Describe one run."""
        return run_of(await self._run(run_id))

    async def end_run(self, run_id: str, status: str) -> None:
        """Close a run that is still open."""
        if (await self.get_run(run_id)).status in OPEN_STATUSES:
            now = int(time.time() * 1000)
            await self._rest.post("runs/update", run_id=run_id, status=status, end_time=now)

    async def models_of_run(self, run_id: str) -> list[RunModel]:
        """List the models that were logged whole, oldest first.

        MLflow 3 clients make them outputs of the run, MLflow 2 clients note them in a tag.
        """
        run = await self._run(run_id)
        outputs = run.get("outputs", {}).get("model_outputs", [])
        if not outputs:
            return history_of(run)
        infos = [await self._logged_model(output["model_id"]) for output in outputs]
        ready = [info for info in infos if info["status"] == MODEL_READY]
        ready.sort(key=lambda info: int(info["creation_timestamp_ms"]))
        return [
            RunModel(run_id, f"{SOURCE_SCHEME}{info['model_id']}", info["model_id"])
            for info in ready
        ]

    async def register(
        self,
        name: str,
        model: RunModel,
        *,
        description: str,
        tags: Mapping[str, str],
        once: bool,
    ) -> ModelVersion:
        """Make a version out of a run's model, or find the one that came from it before."""
        await self._have_registered_model(name)
        found = await self._version_from(name, model) if once else None
        if found:
            number = str(found["version"])
            await self._set_tags(name, number, tags)
            return await self.get_version(name, number)
        fields = {"model_id": model.model_id} if model.model_id else {}
        answer = await self._rest.post(
            "model-versions/create",
            name=name,
            source=model.source,
            run_id=model.run_id,
            description=description,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
            **fields,
        )
        return await self._complete(answer["model_version"])

    async def list_models(self) -> list[RegisteredModel]:
        """List every registered model, by name."""
        found = self._rest.pages(
            "registered-models/search", "registered_models", order_by="name ASC"
        )
        return [model_of(each) async for each in found]

    async def get_model(self, name: str) -> RegisteredModel:
        """Describe one registered model."""
        try:
            answer = await self._rest.get("registered-models/get", name=name)
        except NotFound as error:
            raise NotFound(
                f"no registered model is called {name!r}: the list of models has all names"
            ) from error
        return model_of(answer["registered_model"])

    async def get_version(self, name: str, version: str) -> ModelVersion:
        """Describe a version: its number, ``latest`` or ``@alias``."""
        number = await self._number(name, version)
        try:
            answer = await self._rest.get("model-versions/get", name=name, version=number)
        except NotFound:
            await self.get_model(name)
            raise _no_version(name, version) from None
        return await self._complete(answer["model_version"])

    async def census(self) -> Census:
        """Count the active experiments and the registered models."""
        experiments = self._rest.pages("experiments/search", "experiments", post=True)
        models = self._rest.pages("registered-models/search", "registered_models")
        return Census(
            experiments=len([None async for _ in experiments]),
            registered_models=len([None async for _ in models]),
        )

    async def _run(self, run_id: str) -> dict[str, Any]:
        try:
            answer = await self._rest.get("runs/get", run_id=run_id)
        except NotFound as error:
            raise NotFound(
                f"no run has the id {run_id!r}: a job's `run_id` is the run that it made"
            ) from error
        run: dict[str, Any] = answer["run"]
        return run

    async def _logged_model(self, model_id: str) -> dict[str, Any]:
        answer = await self._rest.get(f"logged-models/{model_id}")
        info: dict[str, Any] = answer["model"]["info"]
        return info

    async def _have_registered_model(self, name: str) -> None:
        try:
            await self._rest.get("registered-models/get", name=name)
        except NotFound:
            try:
                await self._rest.post("registered-models/create", name=name)
            except AlreadyThere:
                return  # somebody else made it in between

    async def _version_from(self, name: str, model: RunModel) -> dict[str, Any] | None:
        found = self._rest.pages(
            "model-versions/search",
            "model_versions",
            filter=f"run_id = {json.dumps(model.run_id)}",
        )
        same = [each async for each in found if each["name"] == name and _came_from(each, model)]
        return min(same, key=lambda each: int(each["version"]), default=None)

    async def _set_tags(self, name: str, version: str, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            await self._rest.post(
                "model-versions/set-tag", name=name, version=version, key=key, value=value
            )

    async def _number(self, name: str, version: str) -> str:
        if _NUMBER.fullmatch(version):
            return version
        model = await self.get_model(name)
        if version == "latest" and model.latest_versions:
            return str(max(int(each.version) for each in model.latest_versions))
        if version.startswith("@") and version[1:] in model.aliases:
            return model.aliases[version[1:]]
        if version == "latest":
            raise NotFound(f"model {name!r} has no version yet")
        raise _no_version(name, version)

    async def _complete(self, answer: dict[str, Any]) -> ModelVersion:
        return version_of(answer, await self._artifacts(answer))

    async def _artifacts(self, answer: dict[str, Any]) -> str | None:
        location = await self._rest.get(
            "model-versions/get-download-uri", name=answer["name"], version=str(answer["version"])
        )
        uri = location["artifact_uri"]
        if uri.startswith("runs:/"):
            run_id, _, path = uri.removeprefix("runs:/").partition("/")
            uri = f"{(await self._run(run_id))['info']['artifact_uri']}/{path}"
        elif uri.startswith(f"{SOURCE_SCHEME}m-"):
            info = await self._logged_model(uri.removeprefix(SOURCE_SCHEME))
            uri = info["artifact_uri"]
        return storage_key(uri, self._origin)


def _no_version(name: str, version: str) -> NotFound:
    return NotFound(
        f"model {name!r} has no version {version!r}: give a number, 'latest' or an alias "
        "as '@champion'"
    )


def _came_from(version: dict[str, Any], model: RunModel) -> bool:
    if model.model_id and version.get("model_id") == model.model_id:
        return True
    return bool(version.get("source") == model.source)
