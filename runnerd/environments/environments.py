"""From requirements to an environment: resolve, describe, build, hold, and sweep."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import uv
from anyio.to_thread import run_sync

from runnerd.environments import builder, retention
from runnerd.environments.catalogue import Catalogue, Resolution, resolution_of
from runnerd.environments.errors import EnvironmentBusy, EnvironmentUnknown
from runnerd.environments.flights import Flights
from runnerd.environments.interpreter import Interpreter, find_interpreter
from runnerd.environments.locks import Locks
from runnerd.environments.requirements import check_requirements, compose
from runnerd.environments.resolver import Resolver, uv_variables
from runnerd.jobs import EnvironmentPlan

_BUSY_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class EnvironmentDescription:
    """What an environment is made of.

    ``requirements`` are pinned (``name==version``), ``lock`` the text they come from,
    ``platform`` is as in ``linux-x86_64``, ``built`` tells whether its folder is there.
    """

    key: str
    python_version: str
    requirements: tuple[str, ...]
    lock: str
    platform: str
    built: bool


class Environments:
    """Environments by content: one folder for each distinct lock, interpreter and platform.

    ``root`` holds the environments, ``cache`` the packages, ``runner`` is the runner's file.
    ``base`` is asked at each resolution for what every script gets, ``constraints`` limit
    versions. ``python`` is a path, name or version, None for the daemon's own. ``variables`` are
    all that uv's processes see besides PATH and HOME. Timeouts are in seconds; ``max_bytes``
    limits all environments together. Verbs may be called concurrently, between open and close.
    """

    def __init__(
        self,
        *,
        root: Path,
        cache: Path,
        runner: Path,
        base: Callable[[], tuple[str, ...]],
        constraints: tuple[str, ...],
        python: str | None,
        index_url: str | None,
        extra_index_urls: tuple[str, ...],
        allow_urls: bool,
        resolve_timeout: float,
        build_timeout: float,
        max_bytes: int,
        variables: Mapping[str, str],
    ) -> None:
        self._root = root.absolute()
        self._cache = cache.absolute()
        self._runner = runner
        self._base = base
        self._constraints = constraints
        self._python = python
        self._index_urls = (index_url or "", *extra_index_urls)
        self._resolve_timeout = resolve_timeout
        self._build_timeout = build_timeout
        self._max_bytes = max_bytes
        self._allow_urls = allow_urls
        self._variables = uv_variables(variables, index_url, extra_index_urls, resolve_timeout)
        self._catalogue = Catalogue(root / "plans")
        self._locks = Locks(root / "locks")
        self._flights: Flights[EnvironmentPlan] = Flights()
        self._sweeping = anyio.Lock()
        self._resolver: Resolver | None = None
        self._resolutions = {"known": 0, "resolved": 0}

    async def open(self) -> None:
        """Make the folders and find uv and the interpreter.

        Raises ``InterpreterMissing`` where the configured Python can't be used.
        """
        self._root.mkdir(parents=True, exist_ok=True)
        self._cache.mkdir(parents=True, exist_ok=True)
        self._catalogue.open()
        self._locks.open()
        executable = uv.find_uv_bin()
        self._resolver = Resolver(
            uv=executable,
            interpreter=await find_interpreter(self._python, uv=executable, env=self._variables),
            cache=self._cache,
            variables=self._variables,
            index_urls=self._index_urls,
            seconds=self._resolve_timeout,
        )

    async def close(self) -> None:
        """Let go: calls that are still under way end with their callers."""
        self._resolver = None

    async def resolve(self, requirements: Sequence[str]) -> EnvironmentPlan:
        """Give the plan of the environment for a script's requirements.

        What was resolved before is answered from the disk and asks no index. Raises
        ``RequirementInvalid``, ``Unresolvable`` or ``IndexAway``.
        """
        check_requirements(requirements, allow_urls=self._allow_urls)
        resolver = self._opened()
        inputs = compose(
            requirements,
            base=self._base(),
            constraints=self._constraints,
            markers=resolver.interpreter.markers,
        )
        request = resolver.fingerprint(inputs)

        async def work() -> EnvironmentPlan:
            known = await run_sync(self._catalogue.answer, request)
            self._resolutions["resolved" if known is None else "known"] += 1
            if known is None:
                known = resolution_of(await resolver.lock(inputs), resolver.interpreter)
                await run_sync(self._catalogue.keep, request, known)
            await run_sync(retention.remove_broken, self._root, known.key, self._locks)
            return self._plan(known)

        return await self._flights.share(request, work)

    def resolutions(self) -> Mapping[str, int]:
        """Count the requirements that were ``known``, and those ``resolved`` by an index."""
        return dict(self._resolutions)

    def plan_for(self, key: str) -> EnvironmentPlan:
        """Give the plan of an environment resolved at any time before.

        Raises ``EnvironmentUnknown``, also where the interpreter it was made for is gone.
        """
        return self._plan(self._catalogue.get(key))

    def describe(self, key: str) -> EnvironmentDescription:
        """Tell what an environment is made of. Raises ``EnvironmentUnknown``."""
        resolution = self._catalogue.get(key)
        return EnvironmentDescription(
            key=key,
            python_version=resolution.python_version,
            requirements=resolution.pins,
            lock=resolution.lock,
            platform=resolution.platform,
            built=self._is_built(key),
        )

    async def build(self, plan: EnvironmentPlan) -> Path:
        """Give the environment's folder, built in a process of its own if it is not there yet.

        Raises ``BuildFailed``. The folder can be swept away until somebody holds it: see
        ``ready``.
        """
        await run_sync(retention.remove_broken, self._root, plan.key, self._locks)
        if not self._is_built(plan.key):
            await builder.build(plan, runner=self._runner, index_urls=self._index_urls)
        return self._root / plan.key

    def reason_of(self, printed: str) -> str:
        """Give what a failed build printed as sentences, without credentials of the indexes."""
        return builder.reason_of(printed, self._index_urls)

    def hold(self, key: str) -> AbstractContextManager[int]:
        """Keep retention away from an environment, and mark it as used now.

        Gives an open file to pass on to a child that shall go on holding it (``pass_fds``).
        Raises ``EnvironmentBusy`` while the environment is being built or removed. A builder
        waits until nobody holds: build first, then hold, then see that the folder is still
        there; ``ready`` does all that.
        """
        return self._locks.shared(key)

    @asynccontextmanager
    async def ready(self, plan: EnvironmentPlan) -> AsyncIterator[tuple[Path, int]]:
        """Build an environment if need be and hold it: gives its folder and the open file.

        Raises ``BuildFailed``.
        """
        while True:
            folder = await self.build(plan)
            try:
                with self._locks.shared(plan.key) as held:
                    if self._is_built(plan.key):
                        yield folder, held
                        return
            except EnvironmentBusy:
                await anyio.sleep(_BUSY_SECONDS)

    async def sweep(self) -> list[str]:
        """Remove what died builders left, then the least recently used beyond the size limit.

        Gives the keys removed. Environments in use stay, whatever the limit says. Their plans
        stay too: they can be built again.
        """
        async with self._sweeping:
            return await run_sync(retention.sweep, self._root, self._locks, self._max_bytes)

    def _is_built(self, key: str) -> bool:
        return (self._root / key).is_dir()

    def _opened(self) -> Resolver:
        if self._resolver is None:
            raise RuntimeError("Environments are used before they were opened.")
        return self._resolver

    def _plan(self, resolution: Resolution) -> EnvironmentPlan:
        resolver = self._opened()
        return EnvironmentPlan(
            key=resolution.key,
            lock=resolution.lock,
            python=_python_for(resolution, resolver.interpreter),
            python_version=resolution.python_version,
            root=str(self._root),
            cache=str(self._cache),
            uv=resolver.uv,
            variables=dict(self._variables),
            build_timeout=self._build_timeout,
        )


def _python_for(resolution: Resolution, current: Interpreter) -> str:
    if resolution.identity == current.identity:
        return current.path
    if Path(resolution.python).exists():
        return resolution.python
    raise EnvironmentUnknown(
        f"The environment {resolution.key} needs Python {resolution.python_version}, which was "
        f"at {resolution.python} and is no longer there: install it again in that place."
    )
