"""A plugin called ``machine``: processes that every daemon of this machine reaches.

It makes of the machine an engine that outlives each of its daemons, as a cluster does.
"""

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import Handle
from runnerd.plugins import Executor, ExecutorCapability, LaunchRequest, PluginContext, hookimpl
from tests.runner.plans import PYTHON

RUNNERD_API = 1


class MachineExecutor(SubprocessExecutor):
    """Keeps attempts in ``common``, whichever daemon launches them."""

    capabilities = frozenset({ExecutorCapability.ENGINE})

    def __init__(self, *, common: Path, data_dir: Path) -> None:
        super().__init__(python=PYTHON, data_dir=data_dir)
        self._common = common

    async def engine(self) -> str:
        return str(self._common)

    async def launch(self, request: LaunchRequest) -> Handle:
        self._common.mkdir(parents=True, exist_ok=True)
        return await super().launch(replace(request, folder=self._common / request.attempt_id))

    def handle_for(self, attempt_id: str, folder: Path) -> Handle:
        return super().handle_for(attempt_id, self._common / attempt_id)


class MachineSettings(BaseModel):
    """``common`` is the folder that all daemons have in common."""

    common: Path


@hookimpl
def runnerd_settings() -> dict[str, type[BaseModel]]:
    return {"machine": MachineSettings}


@hookimpl
def runnerd_executor(name: str, settings: MachineSettings, context: PluginContext) -> Executor:
    return MachineExecutor(common=settings.common, data_dir=context.data_dir)
