"""Trying a plugin: built, opened and used with the settings in force."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from tempfile import gettempdir

import anyio

from runnerd.cli.checks.finding import Finding
from runnerd.cli.configuration import usable_plugins
from runnerd.holding import hold_data_dir
from runnerd.listening import DaemonRefuses
from runnerd.plugins import (
    BackendAway,
    Executor,
    Listener,
    OutOfSpace,
    PluginContext,
    PluginError,
    Storage,
    Tracker,
    TrackerCapability,
    Verdict,
)
from runnerd.plugins.installed import Installed, Standing
from runnerd.plugins.loader import PluginMisconfigured, Plugins, PluginUnknown
from runnerd.plugins.tables import nearest
from runnerd.settings import Settings

STEP_SECONDS = 60.0
START_SECONDS = 180.0
CLOSE_SECONDS = 30.0
_BODY = b"written by `runnerd plugins check`, which deletes it again\n"
_STANDINGS = {
    Standing.KEPT_OUT: "change [loader] in the settings to let it in",
    Standing.REFUSED: "do what the reason says, then check again",
    Standing.BROKEN: "install it again, or tell its author",
    Standing.OUT: "mend what it says, and start the daemon again",
}
Step = tuple[str, Callable[[], Awaitable[str]]]
Part = Storage | Tracker | Executor


def check_plugin(name: str, settings: Settings) -> Iterator[Finding]:
    """Check the plugin of that name, in steps that stand on each other."""
    plugins = usable_plugins(settings)
    plugin = next((each for each in plugins.installed if each.name == name), None)
    if plugin is None:
        names = [each.name for each in plugins.installed]
        detail = f"there is no plugin {name!r}{nearest(name, names)}"
        yield Finding("plugin", "fail", detail, "install it beside runnerd, or correct the name")
        return
    yield _standing(plugin)
    if plugin.standing is not Standing.LOADED:
        return
    try:
        plugins.check({name: settings.plugins.get(name, {})})
    except PluginMisconfigured as error:
        yield Finding("settings", "fail", str(error), "correct them; docs/settings.md has the keys")
        return
    yield Finding("settings", "ok", f"[plugins.{name}] fits")
    for kind in plugins.kinds_of(name):
        yield from _part(kind, name, plugins, settings)


def _standing(plugin: Installed) -> Finding:
    source = "built in" if plugin.built_in else f"{plugin.distribution} in {plugin.place}"
    about = f"{plugin.version}, {source}"
    if plugin.standing is not Standing.LOADED:
        return Finding("plugin", "fail", f"{about}: {plugin.why}", _STANDINGS[plugin.standing])
    if plugin.warning:
        return Finding("plugin", "warn", f"{about}: {plugin.warning}", "upgrade it")
    return Finding("plugin", "ok", f"{about}, interface {plugin.interface}")


def _part(kind: str, name: str, plugins: Plugins, settings: Settings) -> Iterator[Finding]:
    # A tracker may run a server of its own in the data folder: never a second one beside it.
    alone = hold_data_dir(settings.data_dir) if kind == "tracker" else nullcontext()
    context = PluginContext(
        settings.data_dir / "plugins" / name,
        settings.server.public_url or f"http://{settings.server.host}:{settings.server.port}",
    )
    try:
        with alone:
            part = plugins.build(kind, name, settings.plugins.get(name, {}), context)
            yield Finding(kind, "ok", "it could be built")
            if part is not None and not isinstance(part, Listener):
                yield from anyio.run(_used, name, part)
    except PluginUnknown as error:
        yield Finding(kind, "fail", str(error), f"look at [plugins.{name}]")
    except DaemonRefuses as error:
        detail = f"it is not tried beside a running daemon ({error})"
        cure = "ask the daemon: `runnerd plugins list`, `runnerd status`"
        yield Finding(kind, "warn", detail, cure)


async def _used(name: str, part: Part) -> list[Finding]:
    """Open the part, take the steps of its kind until one fails, and close it."""
    found = []
    try:
        async for step, take in _steps(part):
            finding = await _taken(name, step, take)
            found.append(finding)
            if finding.verdict == "fail":
                break
    finally:
        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            await part.close()
    return found


async def _steps(part: Part) -> AsyncIterator[Step]:
    yield "open", lambda: _opened(part)
    match part:
        case Storage():
            key = f"runnerd-check/{secrets.token_hex(8)}"
            yield "health", lambda: _health(part)
            yield "put", lambda: _put(part, key)
            yield "get", lambda: _get(part, key)
            yield "list", lambda: _listed(part, key)
            yield "delete", lambda: _deleted(part, key)
        case Tracker():
            yield "start", lambda: _ready(part)
            yield "health", lambda: _health(part)
            if TrackerCapability.CENSUS in part.capabilities:
                yield "census", lambda: _counted(part)
        case Executor():
            yield "health", lambda: _health(part)
            yield "adopt", lambda: _adopted(part)


async def _taken(name: str, step: str, take: Callable[[], Awaitable[str]]) -> Finding:
    seconds = START_SECONDS if step == "start" else STEP_SECONDS
    try:
        with anyio.fail_after(seconds):
            return Finding(step, "ok", await take())
    except TimeoutError:
        cure = f"look at what [plugins.{name}] points to"
        return Finding(step, "fail", f"no answer within {seconds:g} seconds", cure)
    except PluginError as error:
        return Finding(step, "fail", str(error), _cure(error, name))
    except Exception as error:
        cure = "that is a fault of the plugin: tell its author"
        return Finding(step, "fail", f"{type(error).__name__}: {error}", cure)


def _cure(error: PluginError, name: str) -> str:
    match error:
        case BackendAway():
            return f"see that the backend runs and that [plugins.{name}] leads to it"
        case OutOfSpace():
            return "make room on the backend"
        case _:
            return f"look at [plugins.{name}] and at the rights on the backend"


async def _opened(part: Part) -> str:
    await part.open()
    return "it could be opened"


async def _health(part: Part) -> str:
    health = await part.health()
    if not health.healthy:
        raise BackendAway(health.detail or health.condition.value)
    return health.detail or "healthy"


async def _body() -> AsyncIterator[bytes]:
    yield _BODY


async def _put(storage: Storage, key: str) -> str:
    stored = await storage.put(key, _body(), size=len(_BODY))
    return f"{stored.key} is stored"


async def _get(storage: Storage, key: str) -> str:
    async with storage.get(key) as download:
        body = b"".join([piece async for piece in download.body])
    if body != _BODY:
        raise PluginError(f"{key} came back changed: {len(body)} bytes instead of {len(_BODY)}")
    return "it came back as it was"


async def _listed(storage: Storage, key: str) -> str:
    found = await storage.list(key.rpartition("/")[0])
    if key not in [each.key for each in found]:
        raise PluginError(f"{key} is stored, and no listing shows it")
    return "it is listed"


async def _deleted(storage: Storage, key: str) -> str:
    await storage.delete(key)
    return "it is deleted"


async def _ready(tracker: Tracker) -> str:
    await tracker.wait_ready(START_SECONDS)
    return f"{tracker.address} answers"


async def _counted(tracker: Tracker) -> str:
    census = await tracker.census()
    return f"{census.experiments} experiments, {census.registered_models} models"


async def _adopted(executor: Executor) -> str:
    attempt = f"check-{secrets.token_hex(8)}-1"
    verdict = await executor.adopt(executor.handle_for(attempt, Path(gettempdir()) / attempt))
    if verdict is not Verdict.NEVER_RAN:
        raise PluginError(f"an attempt that never was is {verdict.value} for it")
    return "it knows that an attempt that never was never ran"
