"""What the API server has of one kind of object, kept up to date by a watch."""

import json
import random
import time
from collections.abc import AsyncIterator, Callable

import anyio

from runnerd.executors.kubernetes.api import Api, ApiRefuses, Object
from runnerd.executors.kubernetes.manifests import JOB_LABEL
from runnerd.executors.kubernetes.reasons import label
from runnerd.plugins import BackendAway

PAGE = "500"
# The server ends a watch after so many seconds, and we go on from where it was.
WATCH_SECONDS = 300
# Bookmarks come each minute where nothing else does: a stream that is silent for longer is dead.
SILENCE = 120.0
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
# The server no longer knows what happened since we last looked: list again.
TOO_OLD = 410
_chance = random.SystemRandom()


class Mirror:
    """The objects of the collection at ``path`` that match ``selector``, by the Job they are of.

    That is told by their label. ``changed`` is called with the name of the Job of each object that
    came, changed or went. ``synced`` is set once all were listed. ``trouble`` says why the mirror
    may be behind, empty while it is up to date.
    """

    def __init__(self, api: Api, path: str, selector: str, changed: Callable[[str], None]) -> None:
        self._api = api
        self._path = path
        self._selector = selector
        self._changed = changed
        self._version: str | None = None
        self._items: dict[str, dict[str, Object]] = {}
        self.synced = anyio.Event()
        self.trouble = "it was not read yet"

    def of(self, job: str) -> list[Object]:
        """Give the objects of a Job, the oldest first."""
        found = self._items.get(job, {}).values()
        return sorted(found, key=lambda each: each["metadata"]["creationTimestamp"])

    def put(self, item: Object) -> None:
        """Take an object as it is now."""
        item["metadata"].pop("managedFields", None)
        job = label(item, JOB_LABEL)
        self._items.setdefault(job, {})[item["metadata"]["name"]] = item
        self._changed(job)

    def _remove(self, item: Object) -> None:
        job = label(item, JOB_LABEL)
        self._items.get(job, {}).pop(item["metadata"]["name"], None)
        if not self._items.get(job):
            self._items.pop(job, None)
        self._changed(job)

    async def run(self) -> None:
        """List and watch until cancelled, whatever becomes of the server."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
            except (BackendAway, ApiRefuses) as error:
                if isinstance(error, ApiRefuses) and error.status == TOO_OLD:
                    self._version = None
                else:
                    self.trouble = str(error)
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await anyio.sleep(pause * _chance.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _list(self) -> None:
        found: dict[str, Object] = {}
        query = {"labelSelector": self._selector, "limit": PAGE}
        while True:
            page = await self._api.get(self._path, **query)
            found.update((each["metadata"]["name"], each) for each in page.get("items") or ())
            following = page["metadata"].get("continue")
            if not following:
                break
            query["continue"] = following
        known = [item for items in self._items.values() for item in items.values()]
        for item in known:
            if item["metadata"]["name"] not in found:
                self._remove(item)
        self._version = page["metadata"]["resourceVersion"]
        for item in found.values():
            self.put(item)
        self.trouble = ""
        self.synced.set()

    async def _watch(self) -> None:
        query = {
            "watch": "true",
            "labelSelector": self._selector,
            "resourceVersion": str(self._version),
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        async with self._api.stream(self._path, query, silence=SILENCE) as pieces:
            self.trouble = ""
            async for told in _objects(pieces):
                self._take(told)

    def _take(self, told: Object) -> None:
        kind, item = told["type"], told["object"]
        if kind == "ERROR":
            raise ApiRefuses(item.get("code", 0), item.get("reason", ""), item.get("message", ""))
        self._version = item["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self._remove(item)
        else:
            self.put(item)


async def _objects(pieces: AsyncIterator[bytes]) -> AsyncIterator[Object]:
    """Cut a watch's stream into its objects: one a line, however long the line."""
    rest = bytearray()
    async for piece in pieces:
        rest += piece
        if b"\n" not in piece:
            continue
        *lines, last = rest.split(b"\n")
        rest = bytearray(last)
        for line in lines:
            if line.strip():
                yield json.loads(line)
