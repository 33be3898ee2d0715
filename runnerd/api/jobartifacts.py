"""Where a job's runs and models keep their files, and going through them in a fixed order."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from runnerd.api.schemas.training import JobArtifact
from runnerd.api.services import Services
from runnerd.api.tracking import ready_tracker
from runnerd.plugins import NotFound, Storage
from runnerd.store import BadCursor, Makings

Place = tuple[int, tuple[str, ...]]
BEGINNING: Place = (-1, ())


@dataclass(frozen=True, slots=True)
class Source:
    """A folder in the storage, ``root``, whose files are shown below ``shown``."""

    root: str
    shown: str
    run_id: str | None

    def key_of(self, path: str) -> str | None:
        """Give the key of a path as it is shown, None where it lies elsewhere."""
        if not path.startswith(self.shown):
            return None
        return f"{self.root}/{path.removeprefix(self.shown)}"


async def sources_of(services: Services, job_id: str) -> list[Source]:
    """List where a job's artifacts lie: its runs in the order of their making, then its models.

    Raises ``BackendAway`` where the tracker, which knows the experiments, does not answer.
    """
    makings = await services.store.makings(job_id)
    if not makings.runs:
        return []
    experiments = await _experiments_of(services, makings)
    runs = [
        Source(f"artifacts/{experiments[run.run_id]}/{run.run_id}/artifacts", "", run.run_id)
        for run in makings.runs
        if run.run_id in experiments
    ]
    models = [
        Source(
            f"artifacts/{experiments[model.run_id]}/models/{model.model_id}/artifacts",
            f"models/{model.model_id}/",
            model.run_id,
        )
        for model in makings.models
        if model.run_id in experiments
    ]
    return runs + models


async def _experiments_of(services: Services, makings: Makings) -> dict[str | None, str]:
    tracker = await ready_tracker(services)
    found: dict[str | None, str] = {}
    for run in makings.runs:
        try:
            found[run.run_id] = (await tracker.get_run(run.run_id)).experiment_id
        except NotFound:
            continue  # deleted since: its files are no longer the job's
    return found


async def artifacts_behind(
    storage: Storage, sources: list[Source], place: Place
) -> AsyncIterator[tuple[Place, JobArtifact]]:
    """Go through all files behind ``place``, each with its own place."""
    for index, source in enumerate(sources):
        if index < place[0]:
            continue
        async for path, size in _files(storage, source.root, ()):
            here = (index, path)
            if here > place:
                shown = source.shown + "/".join(path)
                yield here, JobArtifact(path=shown, size=size, run_id=source.run_id)


async def _files(
    storage: Storage, root: str, folder: tuple[str, ...]
) -> AsyncIterator[tuple[tuple[str, ...], int]]:
    prefix = "/".join((root, *folder))
    children = [
        ((*folder, item.key.removeprefix(f"{prefix}/")), item)
        for item in await storage.list(prefix)
    ]
    for path, item in sorted(children, key=lambda child: child[0]):
        if not item.is_folder:
            yield path, item.size
            continue
        async for found in _files(storage, root, path):
            yield found


def make_cursor(place: Place) -> str:
    """Write a place for the next request."""
    content = json.dumps([place[0], *place[1]]).encode()
    return base64.urlsafe_b64encode(content).decode()


def read_cursor(cursor: str | None) -> Place:
    """Read what ``make_cursor`` wrote. Raises ``BadCursor``."""
    if cursor is None:
        return BEGINNING
    try:
        content = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
    except (ValueError, RecursionError) as error:
        raise _bad_cursor() from error
    match content:
        case [int(index), *path] if all(isinstance(part, str) for part in path):
            return index, tuple(path)
        case _:
            raise _bad_cursor()


def _bad_cursor() -> BadCursor:
    return BadCursor(
        "the cursor was not made by this list: send the next_cursor of an earlier answer, "
        "or leave it out to start over"
    )
