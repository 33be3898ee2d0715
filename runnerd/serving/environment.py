"""The environment that a model is served in: the one that trained it, or one of its own asking."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from anyio.to_thread import run_sync

from runnerd.environments import (
    BuildFailed,
    Environments,
    EnvironmentUnknown,
    IndexAway,
    RequirementInvalid,
    Unresolvable,
)
from runnerd.jobs import EnvironmentPlan
from runnerd.plugins import BackendAway, ModelVersion
from runnerd.serving.errors import ModelUnusable

TAG = "runnerd.environment"
_REQUIREMENTS = "requirements.txt"


@asynccontextmanager
async def environment_of(
    version: ModelVersion, files: Path, environments: Environments, base: tuple[str, ...]
) -> AsyncIterator[tuple[Path, int]]:
    """Give the folder of the environment for a model, and the open file that keeps it there.

    Models made by jobs name theirs in a tag. Others, and those whose environment is no longer
    known, get one from the requirements among the model's ``files``, or from ``base`` where
    there are none. Raises ``ModelUnusable`` or ``BackendAway``.
    """
    with _translated():
        plan = await _plan(version, files, environments, base)
        async with environments.ready(plan) as held:
            yield held


async def _plan(
    version: ModelVersion, files: Path, environments: Environments, base: tuple[str, ...]
) -> EnvironmentPlan:
    key = version.tags.get(TAG)
    if key:
        with suppress(EnvironmentUnknown):
            return environments.plan_for(key)
    return await environments.resolve(await run_sync(_requirements, files) or base)


def _requirements(files: Path) -> tuple[str, ...]:
    """Read the packages a model was logged with, without comments, options and hashes."""
    try:
        text = (files / _REQUIREMENTS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    lines = (
        line.partition(" #")[0].partition(" --")[0].strip(" \t\\") for line in text.splitlines()
    )
    return tuple(line for line in lines if line and not line.startswith(("#", "-")))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IndexAway as error:
        raise BackendAway(str(error), retry_after=10.0) from error
    except (RequirementInvalid, Unresolvable) as error:
        raise ModelUnusable(f"the model's environment can't be resolved: {error}") from error
    except BuildFailed as error:
        raise ModelUnusable(f"the model's environment can't be built: {error}") from error
