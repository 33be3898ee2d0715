"""The storages of a house, open, as its settings describe them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from runnerd.moving.errors import NotMoved
from runnerd.moving.objects import Source
from runnerd.moving.undelivered import Undelivered
from runnerd.plugins import PluginContext, PluginError, Storage
from runnerd.plugins.loader import PluginMisconfigured, Plugins, PluginUnknown
from runnerd.plugins.local import LocalStorage
from runnerd.settings import Settings

OPEN_SECONDS = 60.0
CLOSE_SECONDS = 30.0
UNDELIVERED = "undelivered"


@asynccontextmanager
async def opened_storage(plugins: Plugins, settings: Settings, name: str) -> AsyncIterator[Storage]:
    """Open the storage ``name``, which a daemon may be using too.

    Raises ``NotMoved`` where it can't be used now, in words that name it.
    """
    context = PluginContext(settings.data_dir / "plugins" / name, "http://localhost")
    try:
        storage = plugins.storage(name, settings.plugins.get(name, {}), context)
    except (PluginUnknown, PluginMisconfigured) as error:
        raise NotMoved(str(error)) from error
    try:
        await _open(name, storage)
        yield storage
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await storage.close()


async def _open(name: str, storage: Storage) -> None:
    try:
        with anyio.fail_after(OPEN_SECONDS):
            await storage.open()
            health = await storage.health()
    except TimeoutError as error:
        raise NotMoved(
            f"the storage {name!r} was not open within {OPEN_SECONDS:g} seconds: look at "
            f"[plugins.{name}] and at what it connects to"
        ) from error
    except PluginError as error:
        raise NotMoved(f"the storage {name!r} can't be used: {error}") from error
    if not health.healthy:
        raise NotMoved(f"the storage {name!r} can't be used: {health.detail}")


@asynccontextmanager
async def opened_source(plugins: Plugins, settings: Settings, name: str) -> AsyncIterator[Source]:
    """Open a storage for reading; with it, what waits in the data folder to be delivered to it."""
    async with opened_storage(plugins, settings, name) as storage:
        yield await with_undelivered(storage, settings, name)


async def with_undelivered(storage: Storage, settings: Settings, name: str) -> Source:
    """Add what waits in the data folder to be delivered to the storage ``name``, if anything."""
    folder = settings.data_dir / UNDELIVERED
    if storage.remote and name == settings.storage.plugin and folder.is_dir():
        return Undelivered(await opened_folder(folder), storage)
    return storage


async def opened_folder(folder: Path) -> LocalStorage:
    """Open a storage of files; it holds nothing that would have to be closed."""
    opened = LocalStorage(folder)
    await opened.open()
    return opened
