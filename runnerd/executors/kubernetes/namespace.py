"""The namespace in which attempts run: its API, and what of ours is in it now."""

import asyncio
from collections.abc import Callable

import anyio

from runnerd.executors.kubernetes.api import JOBS, PODS, Api, Resource
from runnerd.executors.kubernetes.mirror import Mirror
from runnerd.plugins import BackendAway

SYNC_SECONDS = 20.0


class Namespace:
    """``jobs`` and ``pods`` are what is there, two watches for however many attempts.

    ``changed`` is called with the name of each Job that changed, or whose pod did.
    """

    def __init__(
        self,
        api: Api,
        name: str,
        *,
        selector: str,
        start_deadline: float,
        changed: Callable[[str], None],
    ) -> None:
        self.api = api
        self.name = name
        self.start_deadline = start_deadline
        self.jobs = Mirror(api, self.path(JOBS), selector, changed)
        self.pods = Mirror(api, self.path(PODS), selector, changed)
        self._watching: list[asyncio.Task[None]] = []

    def open(self) -> None:
        """Begin to watch."""
        self.api.open()
        mirrors = (self.jobs, self.pods)
        self._watching = [asyncio.create_task(mirror.run()) for mirror in mirrors]

    async def close(self) -> None:
        """Watch no longer."""
        for task in self._watching:
            task.cancel()
        await self.api.close()
        await asyncio.gather(*self._watching, return_exceptions=True)

    def path(self, resource: Resource, name: str = "", beneath: str = "") -> str:
        """Give an address in the namespace."""
        return resource.path(self.name, name, beneath)

    @property
    def trouble(self) -> str:
        """Say why what is known may be behind, empty while it is up to date."""
        return self.jobs.trouble or self.pods.trouble

    async def synced(self) -> None:
        """Wait until all is known that was there at the start. Raises ``BackendAway``."""
        try:
            with anyio.fail_after(SYNC_SECONDS):
                await self.jobs.synced.wait()
                await self.pods.synced.wait()
        except TimeoutError:
            raise BackendAway(f"the cluster can't be read: {self.trouble}") from None
