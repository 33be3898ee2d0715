"""The executors that a daemon has opened, and what the other daemons are told of them."""

from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import anyio
import structlog

from runnerd.jobs import Abilities, Attempt, NodeExecutors, Resources
from runnerd.plugins import BackendAway, Executor, ExecutorCapability, PluginError
from runnerd.scheduler.patience import answered
from runnerd.store import Store, StoreAway

LOOK_SECONDS = 30.0
Told = TypeVar("Told")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Executors:
    """Every executor of one daemon, by name. ``offered`` is kept up to date by ``keep_noted``."""

    opened: Mapping[str, Executor]
    offered: NodeExecutors

    @property
    def default(self) -> Executor:
        return self.opened[self.offered.default]

    def of(self, attempt: Attempt) -> Executor:
        """Give the one that launched an attempt. Raises ``BackendAway`` where it is not open."""
        executor = self.opened.get(attempt.executor)
        if executor is None:
            raise BackendAway(
                f"the attempt {attempt.id} belongs to the executor {attempt.executor!r}, which "
                f"this daemon does not open: name it in [executor], as `plugin` or in `others`, "
                "and start the daemon again"
            )
        return executor

    def parts(self) -> Iterator[tuple[str, Executor]]:
        """Give each under the name that health and metrics know it by: the default's is short."""
        for name, executor in self.opened.items():
            is_default = name == self.offered.default
            yield ("executor" if is_default else f"executor:{name}", executor)


def offered_by(default: str, opened: Mapping[str, Executor]) -> NodeExecutors:
    """Say what these executors can do, before any of them was asked."""
    return NodeExecutors(
        default=default,
        opened={name: Abilities(images=each.runs_images) for name, each in opened.items()},
    )


async def keep_noted(executors: Executors, store: Store, node: str) -> None:
    """Ask what the executors can give, and tell the others of changes; runs until cancelled."""
    noted: dict[str, Abilities] = {}
    while True:
        opened = executors.offered.opened
        for name, executor in executors.opened.items():
            opened[name] = Abilities(
                images=executor.runs_images,
                most=await _most(name, executor) or opened[name].most,
                engine=await _engine(name, executor) or opened[name].engine,
            )
        if opened != noted:
            try:
                await store.note_executors(node, executors.offered)
                noted = dict(opened)
            except StoreAway as away:
                _log.warning("what the executors can give is not noted", why=str(away))
        await anyio.sleep(LOOK_SECONDS)


async def _most(name: str, executor: Executor) -> Resources | None:
    if ExecutorCapability.CAPACITY not in executor.capabilities:
        return None
    return await _told(name, "capacity", executor.capacity())


async def _engine(name: str, executor: Executor) -> str | None:
    if ExecutorCapability.ENGINE not in executor.capabilities:
        return None
    return await _told(name, "engine", executor.engine())


async def _told(name: str, what: str, answer: Awaitable[Told]) -> Told | None:
    try:
        return await answered(answer, f"tell its {what}")
    except PluginError as error:
        _log.info(f"an executor does not tell its {what}", executor=name, why=str(error))
    except Exception:  # a plugin's bug must not end the daemon
        _log.exception(f"an executor could not tell its {what}", executor=name)
    return None
