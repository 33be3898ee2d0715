"""What a job's token reaches: the runs, models and versions that this job made."""

from collections.abc import Collection

from aiohttp import web

from runnerd.api.identity import IDENTITY
from runnerd.api.mlflow.backend import ask
from runnerd.api.mlflow.calls import Document
from runnerd.api.mlflow.paths import Owner
from runnerd.api.mlflow.refusals import denied
from runnerd.api.services import SERVICES, Services

JOB_TAG = "runnerd.job_id"


class Reach:
    """One job's reach during one request; every ``require`` raises ``Refusal`` (403)."""

    def __init__(self, services: Services, job_id: str) -> None:
        self.services = services
        self.job_id = job_id

    async def require_runs(self, run_ids: Collection[str]) -> None:
        for run_id in run_ids:
            if await self.services.store.job_of_run(run_id) != self.job_id:
                raise denied(f"run {run_id} is not of this job, whose token reaches its own only")

    async def require_models(self, model_ids: Collection[str]) -> None:
        for model_id in model_ids:
            if await self.services.store.job_of_model(model_id) != self.job_id:
                raise denied(
                    f"model {model_id} is not of this job, whose token reaches its own only"
                )

    async def require_owner(self, owner: Owner, path: str) -> None:
        """Ask that an artifact path lies in a run or a model of this job."""
        if owner.run_id is not None:
            await self.require_runs([owner.run_id])
        elif owner.model_id is not None:
            await self.require_models([owner.model_id])
        else:
            raise denied(
                f"the artifact path {path!r} is in no run of this job, whose token reaches its "
                "own only"
            )

    async def require_version(self, name: str, version: str) -> None:
        if (name, version) not in await self.versions():
            raise denied(
                f"version {version} of {name!r} was not registered by this job, whose token "
                "reaches its own only"
            )

    async def require_made_name(self, name: str) -> None:
        """Ask that this job created the registered model itself, not only a version of it."""
        model = (await ask(self.services, "registered-models/get", name=name))["registered_model"]
        if not self.made(model):
            raise denied(
                f"registered model {name!r} was not created by this job: it may add versions to "
                "it, but not change it"
            )

    async def require_used_name(self, name: str) -> None:
        """Ask that this job created the registered model or a version of it."""
        if not any(own == name for own, _ in await self.versions()):
            await self.require_made_name(name)

    async def runs(self) -> frozenset[str]:
        makings = await self.services.store.makings(self.job_id)
        return frozenset(run.run_id for run in makings.runs)

    async def models(self) -> frozenset[str]:
        makings = await self.services.store.makings(self.job_id)
        return frozenset(model.model_id for model in makings.models)

    async def versions(self) -> frozenset[tuple[str, str]]:
        makings = await self.services.store.makings(self.job_id)
        return frozenset((made.name, made.version) for made in makings.versions)

    def made(self, registered_model: Document) -> bool:
        """Tell whether this job created a registered model, as the tracking server gives it."""
        tags = registered_model.get("tags", [])
        return {"key": JOB_TAG, "value": self.job_id} in tags


def reach_of(request: web.Request) -> Reach | None:
    """Give the reach of the job that sent a request; None for callers who may do everything."""
    identity = request.get(IDENTITY)
    if identity is None or identity.job_id is None:
        return None
    return Reach(request.app[SERVICES], identity.job_id)
